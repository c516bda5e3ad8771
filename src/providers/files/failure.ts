import { unavailable } from '../../errors.ts';

/** Throws what tells a client that files are not to be had now. */
export function filesUnavailable(cause: unknown): never {
  throw unavailable('FILES_UNAVAILABLE', 'Files cannot be kept or read at the moment. Please try again.', cause);
}
