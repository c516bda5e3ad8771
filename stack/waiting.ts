import { setTimeout as delay } from 'node:timers/promises';

/** Asks until the answer is true. Throws the text of `late` when it is not true after `ms`, and the signal's reason when it fires. */
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
