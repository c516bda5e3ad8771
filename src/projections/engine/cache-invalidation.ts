import { randomUUID } from 'node:crypto';
import { type CacheServer, COMMIT_WITHIN } from '../../cache/cache.ts';
import type { Incarnation } from '../../cache/incarnation.ts';
import type { CacheMeter } from '../../cache/meter.ts';
import type { Faults } from '../../faults.ts';
import { invalidatedKeys } from './cache-keys.ts';
import { appliedOf } from './postgres-store.ts';
import { type Commit, type CommitOutcome, Poison, type ProjectionStore } from './store.ts';

export interface Marking {
  readonly server: Pick<CacheServer, 'mark' | 'release'>;
  readonly incarnation: Pick<Incarnation, 'awaitSettled' | 'databaseTime' | 'revalidate' | 'failed' | 'turnOff'>;
  readonly meter: Pick<CacheMeter, 'marked'>;
  /** How long a mark lives. */
  readonly markMs: number;
  readonly faults?: Faults;
}

/**
 * A store that invalidates the cache: it marks the cached answers of the changed rows before the commit, and takes the marks
 * off before observers are notified. A commit with an unknown outcome keeps its marks until they expire.
 */
export function withMarks(store: ProjectionStore, generation: number, marking: Marking): ProjectionStore {
  const { server, incarnation, meter, markMs, faults = {} } = marking;

  /** Tries once. Returns 'cache-changed' when the caller must try again. */
  async function attempt(commit: Commit, keys: readonly string[]): Promise<CommitOutcome> {
    const { id, marks } = await incarnation.awaitSettled(generation);
    if (!marks) return store.commit(commit, { id });
    const token = randomUUID();
    const before = incarnation.databaseTime() + COMMIT_WITHIN * markMs;
    if (!(await mark(id, keys, token))) return 'cache-changed';
    faults['after-marks']?.();
    const release = () => server.release(id, keys, token).catch(incarnation.failed);
    try {
      const outcome = await store.commit(commit, { id, before });
      faults['before-release']?.();
      const unmarked = release();
      // The marks of the next commit may be set before these are off.
      if (typeof outcome === 'object') return { ...outcome, unmarked };
      await unmarked;
      return outcome;
    } catch (error) {
      if (error instanceof Poison) await release();
      throw error;
    }
  }

  /** Returns false when nothing is marked: the server has another incarnation, or it cannot be reached and the cache is off. */
  async function mark(id: string, keys: readonly string[], token: string): Promise<boolean> {
    try {
      const marked = await server.mark(id, keys, token);
      if (marked) meter.marked(keys.length);
      return marked;
    } catch (error) {
      incarnation.failed(error);
      await incarnation.turnOff(id);
      return false;
    }
  }

  return {
    ...store,
    async commit(commit) {
      const keys = [...new Set(commit.accepted.flatMap(appliedOf).flatMap(invalidatedKeys))];
      if (keys.length === 0) return store.commit(commit);
      for (;;) {
        const outcome = await attempt(commit, keys);
        if (outcome !== 'cache-changed') return outcome;
        await incarnation.revalidate();
      }
    },
  };
}
