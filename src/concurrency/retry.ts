import { setTimeout as delay } from 'node:timers/promises';
import { sleep } from './sleep.ts';

export interface RetryOptions {
  /** Milliseconds before the next try; `tries` counts those that have failed. */
  readonly pauseMs: (tries: number) => number;
  /** Called after each failure. Throws to give up. */
  readonly onFailure: (error: unknown, tries: number) => void;
}

/** Tries until the work succeeds or `onFailure` throws. */
export async function retry<T>(work: () => Promise<T>, { pauseMs, onFailure }: RetryOptions): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      onFailure(error, tries);
    }
    await delay(pauseMs(tries));
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
