import type { Stoppable } from '../lifecycle.ts';
import type { Claim, StreamStore, Verdict } from './stream-store.ts';

export interface VerdictOptions {
  readonly streams: Pick<StreamStore, 'verdicts'>;
  /** How often to look without having been told that something was committed. */
  readonly pollMs: number;
}

export type Settled = Exclude<Verdict, { kind: 'won' | 'lost' | 'pending' }> | { readonly kind: 'won' | 'lost' | 'unknown' };

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
export function createVerdicts({ streams, pollMs }: VerdictOptions): Verdicts {
  const waiting = new Set<Waiting>();
  let asking = false;
  let askAgain = false;
  const clock = setInterval(() => hint(), pollMs);

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
      const timer = setTimeout(() => resolve({ kind: 'unknown' }), waitMs);
      waiting.add(entry);
      return promise.finally(() => {
        clearTimeout(timer);
        waiting.delete(entry);
      });
    },
    stop() {
      clearInterval(clock);
      for (const { settle } of waiting) settle({ kind: 'unknown' });
      return Promise.resolve();
    },
  };
}
