import { sleep } from '../concurrency/sleep.ts';
import type { Item } from './items.ts';
import { JobFailure, type JobOutcome, type Work } from './job-type.ts';

const CONCURRENCY = 16;
const PAGE = 256;
/** A longer pause gives the worker's place to another job. */
const MAX_WAIT_MS = 5_000;

/**
 * Does the due items until none is left, several at once. `act` settles or postpones its item. What it throws ends the attempt, and the
 * next attempt goes on with the items that are not settled. The owner must have the right to each item when it begins. Mails to
 * `lastDomain` come last. After `placeMs` milliseconds no further item is begun: the attempt gives up its place, which does not count,
 * before it takes too long, which would.
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
    const due = await items.due(PAGE, lastDomain());
    if (due.length > 0) await actOnAll(due, actIfAllowed, isTimeUp);
    const counts = await items.counts();
    if (counts.total === 0)
      throw new JobFailure('permanent', 'PAYLOAD_LOST', 'The items of the job are not stored any more.');
    await work.progress(counts);
    if (due.length > 0 && !isTimeUp()) continue;
    const nextInMs = await items.nextIn();
    if (nextInMs === undefined) return counts;
    const pauseMs = Math.max(0, nextInMs);
    if (pauseMs > MAX_WAIT_MS || isTimeUp())
      throw new JobFailure('deferred', 'ITEMS_WAIT', 'items wait for another try', { pauseMs });
    await sleep(Math.max(1, pauseMs), signal);
  }
}

/** Rejects with the first failure, once nothing runs. Begins no further item once the time is up. */
async function actOnAll(
  due: readonly Item[],
  act: (item: Item) => Promise<void>,
  isTimeUp: () => boolean,
): Promise<void> {
  const waiting = due.values();
  let failure: { readonly error: unknown } | undefined;
  const one = async (): Promise<void> => {
    for (const item of waiting) {
      if (failure) return;
      await act(item).catch((error: unknown) => (failure ??= { error }));
      if (isTimeUp()) return;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, one));
  if (failure) throw failure.error;
}
