import { setTimeout as delay } from 'node:timers/promises';

/** Asks until the answer is yes. Throws what `late` says when it is still no after `ms`. */
export async function until(ask: () => Promise<boolean>, ms: number, late: () => string): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await ask())) {
    if (Date.now() > deadline) throw new Error(late());
    await delay(50);
  }
}

/** The work's result, or an error once `ms` have passed. The work itself goes on. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = delay(ms, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${what} took longer than ${ms} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
    late.catch(() => undefined);
  }
}
