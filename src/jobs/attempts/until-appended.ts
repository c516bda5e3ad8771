import { retry } from '../../concurrency/retry.ts';
import { backoffMs, type Pauses } from '../backoff.ts';

/** Between tries to append. */
const PAUSES: Pauses = { firstMs: 250, maxMs: 2_000 };

/**
 * Appends, and tries again after a pause as long as `mayTryAgain` says so. Both are told how many tries have failed before. The
 * signal ends a pause; once it has fired, further pauses last as long as before.
 */
export const untilAppended = <T>(
  append: (tries: number) => Promise<T>,
  mayTryAgain: (error: unknown, tries: number) => boolean,
  signal: AbortSignal,
): Promise<T> =>
  retry(append, {
    pauseMs: (tries) => backoffMs(PAUSES, tries),
    onFailure: (error, tries) => {
      if (!mayTryAgain(error, tries - 1)) throw error;
    },
    signal,
  });
