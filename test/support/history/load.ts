import { until } from '../servers/waiting.ts';
import type { Attempt, Wish } from './history.ts';

/** The load while it runs, as the test sees it that does something to the servers meanwhile. */
export interface Load {
  /** Waits until every process has given that many more answers of success. Resolves to the milliseconds it took. */
  served(more: { readonly writes: number; readonly reads: number }, withinMs?: number): Promise<number>;
}

/** Attempts at one process. */
interface Counts {
  readonly writes: number;
  readonly reads: number;
  readonly refused: number;
  readonly unknown: number;
}

export interface Meter {
  readonly load: Load;
  count(wish: Wish, attempt: Attempt): void;
}

const none: Counts = { writes: 0, reads: 0, refused: 0, unknown: 0 };

export function createMeter(urls: readonly string[]): Meter {
  const counted = new Map<string, Counts>();
  const of = (url: string) => counted.get(url) ?? none;
  let lastTrouble = 'nothing went wrong';

  async function served(more: { writes: number; reads: number }, withinMs = 60_000): Promise<number> {
    const began = performance.now();
    const before = new Map(counted);
    const has = (url: string) => {
      const { writes, reads } = before.get(url) ?? none;
      return of(url).writes >= writes + more.writes && of(url).reads >= reads + more.reads;
    };
    const late = () => `no service within ${withinMs} ms (${JSON.stringify([...counted])}): ${lastTrouble}`;
    await until(() => Promise.resolve(urls.every(has)), withinMs, late);
    return performance.now() - began;
  }

  return {
    count(wish, { url, outcome }) {
      const kind = outcome.kind === 'ok' ? (wish.effect ? 'writes' : 'reads') : outcome.kind;
      counted.set(url, { ...of(url), [kind]: of(url)[kind] + 1 });
      if (outcome.kind === 'unknown') lastTrouble = outcome.why;
    },
    load: { served },
  };
}
