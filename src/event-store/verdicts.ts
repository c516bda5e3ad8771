import type { CommitNotice } from '../events/commit-notice.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { Claim, StreamStore, Verdict } from './stream-store.ts';

export interface VerdictOptions {
  readonly streams: Pick<StreamStore, 'verdicts'>;
  /** How often to look without having been told that something was committed. */
  readonly pollMs: number;
  readonly clock?: Clock;
}

/** What it returns cancels. The model test of arbitration brings a clock of its own. */
export interface Clock {
  after(ms: number, call: () => void): () => void;
  every(ms: number, call: () => void): () => void;
}

const systemClock: Clock = {
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
  /** Something was committed. May come for nothing, twice or never. */
  onCommit(word: CommitNotice): void;
}

interface Waiting {
  readonly claim: Claim;
  readonly settle: (verdict: Settled) => void;
}

/**
 * Waits for word of winners. For all other claims it asks, in one query for all, one query at a time: when a word says that
 * there is more to know, and by the clock.
 */
export function createVerdicts({ streams, pollMs, clock = systemClock }: VerdictOptions): Verdicts {
  /** By record id. */
  const waiting = new Map<string, Waiting>();
  let asking = false;
  let askAgain = false;
  const stopPolling = clock.every(pollMs, recheck);

  function onCommit({ won, recheck: hasMore }: CommitNotice): void {
    for (const id of won) waiting.get(id)?.settle({ kind: 'won' });
    if (hasMore) recheck();
  }

  function recheck(): void {
    askAgain = true;
    if (!asking && waiting.size > 0) void ask();
  }

  async function ask(): Promise<void> {
    asking = true;
    while (askAgain && waiting.size > 0) {
      askAgain = false;
      const asked = [...waiting.values()];
      // An error leaves everybody waiting: the next word or the clock asks again, on another connection.
      const verdicts = await streams.verdicts(asked.map(({ claim }) => claim)).catch(() => []);
      for (const [index, verdict] of verdicts.entries()) {
        if (verdict.kind !== 'pending') asked[index]?.settle(verdict as Settled);
      }
    }
    asking = false;
  }

  return {
    onCommit,
    verdictOn(claim, waitMs) {
      const { promise, resolve } = Promise.withResolvers<Settled>();
      const entry: Waiting = { claim, settle: resolve };
      const giveUp = clock.after(waitMs, () => resolve({ kind: 'unknown' }));
      waiting.set(claim.recordId, entry);
      return promise.finally(() => {
        giveUp();
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
