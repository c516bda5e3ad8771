import { NEVER, sleep } from './sleep.ts';

export interface RetryOptions {
  /** Milliseconds before the next try; `tries` counts those that have failed. */
  readonly pauseMs: (tries: number) => number;
  /** Called after each failure. Throws to give up. */
  readonly onFailure: (error: unknown, tries: number) => void;
  /** Ends a pause; once it has fired, further pauses last as long as before. */
  readonly signal?: AbortSignal;
}

/** Tries until the work succeeds or `onFailure` throws. The work gets the number of tries that have failed. */
export async function retry<T>(
  work: (failed: number) => Promise<T>,
  { pauseMs, onFailure, signal = NEVER }: RetryOptions,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work(tries - 1);
    } catch (error) {
      onFailure(error, tries);
    }
    await sleep(pauseMs(tries), signal.aborted ? NEVER : signal);
  }
}

export interface RetryUntilOptions {
  readonly pauseMs: number;
  readonly onFailure?: (error: unknown) => void;
}

/** Tries until the work succeeds. Undefined once the signal has fired. */
export async function retryUntil<T>(
  signal: AbortSignal,
  work: () => Promise<T>,
  { pauseMs, onFailure = () => undefined }: RetryUntilOptions,
): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await work();
    } catch (error) {
      onFailure(error);
      await sleep(pauseMs, signal);
    }
  }
  return undefined;
}
