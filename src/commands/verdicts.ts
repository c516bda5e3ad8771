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
  /** Something was committed: look now. May be called for nothing and may be left out. */
  hint(): void;
}

interface Waiting {
  readonly claim: Claim;
  readonly settle: (verdict: Settled) => void;
}

/** Asks for all waiting claims in one query, one query at a time: after every hint, and by the clock. */
export function createVerdicts({ streams, pollMs, clock = systemClock }: VerdictOptions): Verdicts {
  const waiting = new Set<Waiting>();
  let asking = false;
  let askAgain = false;
  const stopPolling = clock.every(pollMs, () => hint());

  function hint(): void {
    askAgain = true;
    if (!asking && waiting.size > 0) void ask();
  }

  async function ask(): Promise<void> {
    asking = true;
    while (askAgain && waiting.size > 0) {
      askAgain = false;
      const asked = [...waiting];
      // An error leaves everybody waiting: the next hint or the clock asks again, on another connection.
      const verdicts = await streams.verdicts(asked.map(({ claim }) => claim)).catch(() => []);
      for (const [index, verdict] of verdicts.entries()) {
        if (verdict.kind !== 'pending') asked[index]?.settle(verdict as Settled);
      }
    }
    asking = false;
  }

  return {
    hint,
    verdictOn(claim, waitMs) {
      const { promise, resolve } = Promise.withResolvers<Settled>();
      const entry: Waiting = { claim, settle: resolve };
      const giveUp = clock.after(waitMs, () => resolve({ kind: 'unknown' }));
      waiting.add(entry);
      return promise.finally(() => {
        giveUp();
        waiting.delete(entry);
      });
    },
    stop() {
      stopPolling();
      for (const { settle } of waiting) settle({ kind: 'unknown' });
      return Promise.resolve();
    },
  };
}
