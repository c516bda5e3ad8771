import { sleep } from '../../concurrency/sleep.ts';
import { backoffMs, type Pauses } from '../backoff.ts';

/** Between tries to append. */
const PAUSES: Pauses = { firstMs: 250, maxMs: 2_000 };

const never = new AbortController().signal;

/**
 * Appends, and tries again after a pause as long as `mayTryAgain` says so. Both are told how many tries have failed before. The
 * signal ends a pause; once it has fired, further pauses last as long as before.
 */
export async function untilAppended<T>(
  append: (tries: number) => Promise<T>,
  mayTryAgain: (error: unknown, tries: number) => boolean,
  signal: AbortSignal,
): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await append(tries);
    } catch (error) {
      if (!mayTryAgain(error, tries)) throw error;
      await sleep(backoffMs(PAUSES, tries + 1), signal.aborted ? never : signal);
    }
  }
}
