/**
 * Finds out whether the product keeps its promises under load and faults:
 *
 *     const history = await recordHistory({ urls }, async (load) => {
 *       await load.served({ writes: 50, reads: 50 });
 *       await broker.kill();
 *       await broker.restart();
 *       await load.served({ writes: 50, reads: 50 });
 *     });
 *     expect(await checkServed(history, { env, urls })).toEqual([]);
 *
 * Clients send requests as four people, whom the history registers: for albums, songs and likes as any client may, for playlists
 * as owners, collaborators, former ones and strangers. Every request is judged against the log alone: each answer, each rejection
 * by the meaning of its code, and each row. Likes are streams of their own; their total for an album is a tally, which has versions
 * like a stream.
 *
 * The log must hold only what the history's clients wrote; several histories of one log are checked together, as one with the
 * operations of all, or one after the other by what `startChecking` returns. `history.ts` defines the violations, and
 * `categories.ts` the possible requests.
 */
export {
  checkAgainstLog,
  checkHistory,
  checkServed,
  type Evidence,
  type ServedOptions,
  startChecking,
  withEvidence,
} from './check.ts';
export type { Attempt, History, Operation, Outcome, Rule, Violation, PlannedRequest } from './history.ts';
export { anything, type Choice, readsOfCached, renamesWhileAdding } from './choices.ts';
export type { Load } from './load.ts';
export { recordHistory, type RecordOptions } from './record.ts';
export { readLog } from './log.ts';
export { servingSchema } from './tables.ts';
