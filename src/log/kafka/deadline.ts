import { setTimeout as delay } from 'node:timers/promises';

/** Rejects when `work` takes longer; the work itself goes on. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  try {
    return await Promise.race([work, late(ms, what, timer.signal)]);
  } finally {
    timer.abort();
  }
}

async function late(ms: number, what: string, signal: AbortSignal): Promise<never> {
  await delay(ms, undefined, { signal });
  throw new Error(`${what} took longer than ${ms} ms`);
}
