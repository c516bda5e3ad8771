import { unavailable } from '../../errors.ts';

/** Throws what tells a client that files are not to be had now. */
export function filesUnavailable(cause: unknown): never {
  throw unavailable('FILES_UNAVAILABLE', 'Files cannot be kept or read at the moment. Please try again.', cause);
}

/** Answers about what was asked; with any other, and with none, it is the store that fails. */
const isAnswer = (status: number) => status >= 400 && status < 500 && status !== 408 && status !== 429;

/** Whether the store of files cannot be used for now: it is away, full or broken. */
export function isStoreAway(error: Error): boolean {
  if (error.name === 'TimeoutError') return true; // of the SDK, for a stream without all that its other errors have
  if ('$metadata' in error) {
    const { httpStatusCode: status } = error.$metadata as { readonly httpStatusCode?: number };
    return status === undefined || !isAnswer(status);
  }
  // Of the network and of the system; a file that is missing is no failure of the disk.
  return 'code' in error && /^E[A-Z\d]+$/.test(String(error.code)) && error.code !== 'ENOENT';
}
