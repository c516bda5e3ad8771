import { setTimeout as delay } from 'node:timers/promises';

/** Asks until the answer is yes. Throws what `late` says when it is still no after `ms`, and why `signal` was aborted. */
export async function until(
  ask: () => Promise<boolean>,
  ms: number,
  late: () => string,
  signal?: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await ask())) {
    signal?.throwIfAborted();
    if (performance.now() > deadline) throw new Error(late());
    await delay(50);
  }
}
