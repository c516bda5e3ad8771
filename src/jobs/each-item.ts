import { sleep } from '../lifecycle.ts';
import type { Item } from './items.ts';
import { JobFailure, type JobOutcome, type Work } from './job-type.ts';

const AT_ONCE = 16;
const TAKEN = 256;
/** A longer pause gives the worker's place to another job. */
const WAITED_FOR_MS = 5_000;

/**
 * Does every item that is due until none is left, several at once. `act` settles or postpones its item; what it throws ends
 * the attempt, and the next one goes on with what is not settled. The owner must have the right to each; once all are settled
 * that does not count any more. Mails to `lastDomain` come last.
 */
export async function eachItem(
  work: Work,
  act: (item: Item) => Promise<void>,
  lastDomain: () => string | undefined = () => undefined,
): Promise<JobOutcome> {
  const { items, signal } = work;
  const actIfAllowed = async (item: Item) => {
    await work.mustBeAllowed();
    await act(item);
  };
  for (;;) {
    signal.throwIfAborted();
    const due = await items.due(TAKEN, lastDomain());
    if (due.length > 0) await all(due, actIfAllowed);
    const counts = await items.counts();
    if (counts.total === 0)
      throw new JobFailure('never', 'PAYLOAD_LOST', 'The items of the job are not kept any more.');
    await work.progress(counts);
    if (due.length > 0) continue;
    const nextInMs = await items.nextIn();
    if (nextInMs === undefined) return counts;
    if (nextInMs > WAITED_FOR_MS)
      throw new JobFailure('later', 'ITEMS_WAIT', 'items wait for another try', { pauseMs: nextInMs });
    await sleep(Math.max(1, nextInMs), signal);
  }
}

/** Rejects with the first failure, once nothing runs any more. */
async function all(due: readonly Item[], act: (item: Item) => Promise<void>): Promise<void> {
  const waiting = due.values();
  let failure: { readonly error: unknown } | undefined;
  const one = async (): Promise<void> => {
    for (const item of waiting) {
      if (failure) return;
      await act(item).catch((error: unknown) => (failure ??= { error }));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  if (failure) throw failure.error;
}
