/**
 * Finds out whether the product keeps its promises under load, whatever is done to it meanwhile:
 *
 *     const history = await recordHistory({ urls }, async (load) => {
 *       await load.served({ writes: 50, reads: 50 });
 *       await broker.kill();
 *       await broker.restart();
 *       await load.served({ writes: 50, reads: 50 });
 *     });
 *     expect(await checkServed(history, { env, urls })).toEqual([]);
 *
 * Clients ask in the names of four people, whom the history registers: of albums, songs and likes as anybody may, of playlists as
 * owners, collaborators, former ones and strangers. Everything that is asked for is judged against the log alone: each answer,
 * each refusal with what its code says, and each row. Likes are streams of their own; what they add up to for an album is a
 * tally, which has versions like a stream.
 *
 * The log must hold nothing but what the history's clients made; several histories of one log are checked together, as one
 * with the operations of all, or one after the other by what `startChecking` returns. What a violation is says `history.ts`. What can be asked for says `categories.ts`.
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
export type { Attempt, History, Operation, Outcome, Rule, Violation, Wish } from './history.ts';
export { anything, type Choice, readsOfCached, renamesWhileAdding } from './choices.ts';
export type { Load } from './load.ts';
export { recordHistory, type RecordOptions } from './record.ts';
export { readLog } from './log.ts';
export { servingSchema } from './tables.ts';
