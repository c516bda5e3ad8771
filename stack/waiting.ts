import { waitFor } from '../src/concurrency/poll.ts';

/** Asks until the answer is true. Throws the text of `late` when it is not true after `ms`, and the signal's reason when it fires. */
export async function until(
  ask: () => Promise<boolean>,
  ms: number,
  late: () => string,
  signal?: AbortSignal,
): Promise<void> {
  const isTrue = async () => {
    if (await ask()) return true;
    signal?.throwIfAborted();
    return undefined;
  };
  if (!(await waitFor(isTrue, { everyMs: 50, withinMs: ms, signal }))) throw new Error(late());
}
