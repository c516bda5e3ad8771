import { unavailable } from '../../errors.ts';

/** Throws the error that tells a client that the store of files cannot be used now. */
export function filesUnavailable(cause: unknown): never {
  throw unavailable('FILES_UNAVAILABLE', 'Files cannot be kept or read at the moment. Please try again.', cause);
}

/** Whether the status is about the request. Any other status, or none, means that the store failed. */
const isAnswer = (status: number) => status >= 400 && status < 500 && status !== 408 && status !== 429;

/** Whether the store of files cannot be used for now, because it is unreachable, full or broken. */
export function isStoreAway(error: Error): boolean {
  if (error.name === 'TimeoutError') return true; // the SDK throws it for a stream, without the `$metadata` of its other errors
  if ('$metadata' in error) {
    const { httpStatusCode: status } = error.$metadata as { readonly httpStatusCode?: number };
    return status === undefined || !isAnswer(status);
  }
  // These are errors of the network and the system. A missing file is not a failure of the disk.
  return 'code' in error && /^E[A-Z\d]+$/.test(String(error.code)) && error.code !== 'ENOENT';
}
