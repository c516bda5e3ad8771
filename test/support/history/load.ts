import { until } from '../servers/waiting.ts';
import type { Attempt, PlannedRequest } from './history.ts';

/** The running load, as seen by the test that breaks servers meanwhile. */
export interface Load {
  /**
   * Waits until every process has given this many more successful answers, of which so many came from the cache. Resolves
   * to the milliseconds it took.
   */
  served(more: More, withinMs?: number): Promise<number>;
  /** Waits until no write is in progress, which happens once clients have stopped choosing any. */
  quiet(withinMs?: number): Promise<void>;
}

export interface More {
  readonly writes: number;
  readonly reads: number;
  /** Reads that were answered from the cache, as their header says. */
  readonly hits?: number;
}

/** Attempts at one process. */
interface Counts {
  readonly writes: number;
  readonly reads: number;
  readonly hits: number;
  readonly refused: number;
  readonly unknown: number;
}

export interface Meter {
  readonly load: Load;
  begin(request: PlannedRequest): void;
  count(request: PlannedRequest, attempt: Attempt): void;
}

const none: Counts = { writes: 0, reads: 0, hits: 0, refused: 0, unknown: 0 };

export function createMeter(urls: readonly string[]): Meter {
  const counted = new Map<string, Counts>();
  const of = (url: string) => counted.get(url) ?? none;
  let writing = 0;
  let lastTrouble = 'nothing went wrong';

  async function served(more: More, withinMs = 60_000): Promise<number> {
    const began = performance.now();
    const before = new Map(counted);
    const has = (url: string) => {
      const { writes, reads, hits } = before.get(url) ?? none;
      const now = of(url);
      return (
        now.writes >= writes + more.writes && now.reads >= reads + more.reads && now.hits >= hits + (more.hits ?? 0)
      );
    };
    const late = () => `no service within ${withinMs} ms (${JSON.stringify([...counted])}): ${lastTrouble}`;
    await until(() => Promise.resolve(urls.every(has)), withinMs, late);
    return performance.now() - began;
  }

  const quiet = (withinMs = 60_000) =>
    until(
      () => Promise.resolve(writing === 0),
      withinMs,
      () => `${writing} writes are under way: ${lastTrouble}`,
    );

  return {
    begin: ({ effect }) => void (writing += effect ? 1 : 0),
    count(request, { url, outcome }) {
      writing -= request.effect ? 1 : 0;
      const kind = outcome.kind === 'ok' ? (request.effect ? 'writes' : 'reads') : outcome.kind;
      const hits = of(url).hits + (outcome.kind === 'ok' && outcome.source === 'cache' ? 1 : 0);
      counted.set(url, { ...of(url), hits, [kind]: of(url)[kind] + 1 });
      if (outcome.kind === 'unknown') lastTrouble = outcome.why;
    },
    load: { served, quiet },
  };
}
