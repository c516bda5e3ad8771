import type { CommitNotice } from '../events/commit-notice.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { Claim, StreamStore, Verdict } from './stream-store.ts';

export interface VerdictOptions {
  readonly streams: Pick<StreamStore, 'verdicts'>;
  /** Time between two queries while no commit notice comes. */
  readonly pollMs: number;
  readonly clock?: Timers;
}

/** Each call returns a function that cancels. The model of arbitration has its own clock. */
export interface Timers {
  after(ms: number, call: () => void): () => void;
  every(ms: number, call: () => void): () => void;
}

const systemClock: Timers = {
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
  every(ms, call) {
    const timer = setInterval(call, ms);
    return () => clearInterval(timer);
  },
};

export type Settled =
  Exclude<Verdict, { kind: 'won' | 'lost' | 'pending' }> | { readonly kind: 'won' | 'lost' | 'unknown' };

export interface Verdicts extends Stoppable {
  /** The verdict on a claim, or `unknown` when there is none within `waitMs`. */
  verdictOn(claim: Claim, waitMs: number): Promise<Settled>;
  /** Takes a commit notice. It is only a hint: it may come without a reason, twice or never. */
  onCommit(notice: CommitNotice): void;
}

interface Waiting {
  readonly claim: Claim;
  readonly settle: (verdict: Settled) => void;
}

/**
 * Settles winners by commit notices. All other claims are looked up together, one query at a time: when a notice asks for it,
 * and by the clock.
 */
export function createVerdicts({ streams, pollMs, clock = systemClock }: VerdictOptions): Verdicts {
  /** By record id. */
  const waiting = new Map<string, Waiting>();
  let querying = false;
  let queryAgain = false;
  const stopPolling = clock.every(pollMs, recheck);

  function onCommit({ won, recheck: hasMore }: CommitNotice): void {
    for (const id of won) waiting.get(id)?.settle({ kind: 'won' });
    if (hasMore) recheck();
  }

  function recheck(): void {
    queryAgain = true;
    if (!querying && waiting.size > 0) void query();
  }

  async function query(): Promise<void> {
    querying = true;
    while (queryAgain && waiting.size > 0) {
      queryAgain = false;
      const pending = [...waiting.values()];
      // After an error all keep waiting: the next notice or the clock queries again, on another connection.
      const verdicts = await streams.verdicts(pending.map(({ claim }) => claim)).catch(() => []);
      for (const [index, verdict] of verdicts.entries()) {
        if (verdict.kind !== 'pending') pending[index]?.settle(verdict as Settled);
      }
    }
    querying = false;
  }

  return {
    onCommit,
    verdictOn(claim, waitMs) {
      const { promise, resolve } = Promise.withResolvers<Settled>();
      const entry: Waiting = { claim, settle: resolve };
      const cancelTimeout = clock.after(waitMs, () => resolve({ kind: 'unknown' }));
      waiting.set(claim.recordId, entry);
      return promise.finally(() => {
        cancelTimeout();
        waiting.delete(claim.recordId);
      });
    },
    stop() {
      stopPolling();
      for (const { settle } of waiting.values()) settle({ kind: 'unknown' });
      return Promise.resolve();
    },
  };
}
