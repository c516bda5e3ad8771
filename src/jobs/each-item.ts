import { sleep } from '../concurrency/sleep.ts';
import type { Item } from './items.ts';
import { JobFailure, type JobOutcome, type Work } from './job-type.ts';

const AT_ONCE = 16;
const TAKEN = 256;
/** A longer pause gives the worker's place to another job. */
const WAITED_FOR_MS = 5_000;

/**
 * Does every item that is due until none is left, several at once. `act` settles or postpones its item; what it throws ends
 * the attempt, and the next one goes on with what is not settled. The owner must have the right to each; once all are settled
 * that does not count any more. Mails to `lastDomain` come last. After `placeMs` milliseconds no further item is begun: the attempt
 * would take too long, which counts, so it gives up its place, which does not.
 */
export async function eachItem(
  work: Work,
  act: (item: Item) => Promise<void>,
  lastDomain: () => string | undefined = () => undefined,
  placeMs = Infinity,
): Promise<JobOutcome> {
  const { items, signal } = work;
  const actIfAllowed = async (item: Item) => {
    await work.mustBeAllowed();
    await act(item);
  };
  const since = performance.now();
  const isTimeUp = () => performance.now() - since >= placeMs;
  for (;;) {
    signal.throwIfAborted();
    const due = await items.due(TAKEN, lastDomain());
    if (due.length > 0) await all(due, actIfAllowed, isTimeUp);
    const counts = await items.counts();
    if (counts.total === 0)
      throw new JobFailure('never', 'PAYLOAD_LOST', 'The items of the job are not kept any more.');
    await work.progress(counts);
    if (due.length > 0 && !isTimeUp()) continue;
    const nextInMs = await items.nextIn();
    if (nextInMs === undefined) return counts;
    const pauseMs = Math.max(0, nextInMs);
    if (pauseMs > WAITED_FOR_MS || isTimeUp())
      throw new JobFailure('later', 'ITEMS_WAIT', 'items wait for another try', { pauseMs });
    await sleep(Math.max(1, pauseMs), signal);
  }
}

/** Rejects with the first failure, once nothing runs any more. Begins nothing more once the time is up. */
async function all(due: readonly Item[], act: (item: Item) => Promise<void>, isTimeUp: () => boolean): Promise<void> {
  const waiting = due.values();
  let failure: { readonly error: unknown } | undefined;
  const one = async (): Promise<void> => {
    for (const item of waiting) {
      if (failure) return;
      await act(item).catch((error: unknown) => (failure ??= { error }));
      if (isTimeUp()) return;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  if (failure) throw failure.error;
}
