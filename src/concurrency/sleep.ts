import { setTimeout as delay } from 'node:timers/promises';

/** Waits `ms`, or returns at once when the signal fires. Never throws. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
