import { setTimeout as delay } from 'node:timers/promises';

/** A signal that never fires. */
export const NEVER = new AbortController().signal;

/** Waits `ms`, or returns at once when the signal fires. Never throws. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

/** Resolves when the signal fires. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
