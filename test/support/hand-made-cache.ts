import type { CacheServer } from '../../src/cache/cache.ts';
import { createIncarnation, type Incarnation, type IncarnationOptions } from '../../src/cache/incarnation.ts';
import type { CacheRow, CacheState } from '../../src/cache/cache-state.ts';
import { createMemoryCache } from '../../src/cache/memory.ts';

/** A clock that only the timers of the test advance. */
export const now = () => Date.now();

/** The generation that processes read by default. */
export const GENERATION = 1;
/** The database's clock differs from ours. */
export const AHEAD_MS = 5_000_000;

export type HandMadeRow = ReturnType<typeof handMadeRow>;
export type HandMadeServer = ReturnType<typeof handMadeServer>;

/** A row as Postgres keeps it, and a connection to it that can be lost. */
export function handMadeRow() {
  let heldUntil = 0;
  let last: Promise<unknown> = Promise.resolve();
  /** Changes wait for each other, as for a lock on the row. */
  const inTurn = (work: () => void | Promise<void>): Promise<void> => {
    const mine = last.then(() => (row.lost ? Promise.reject(new Error('no database')) : work()));
    last = mine.catch(() => undefined);
    return mine;
  };
  const row = {
    state: { id: 'first', previous: '', on: false, runId: '', generation: 0 } as CacheState,
    reads: 0,
    lost: false,
    /** The delay of its answers. */
    slowMs: 0,
    async read() {
      if (row.lost) throw new Error('no database');
      row.reads += 1;
      const answer = { ...row.state, now: now() + AHEAD_MS };
      if (row.slowMs > 0) await new Promise((resolve) => setTimeout(resolve, row.slowMs));
      return answer;
    },
    replace: (from: string, to: CacheState, prepare: () => Promise<void>) =>
      inTurn(async () => {
        if (from !== row.state.id || now() < heldUntil) return;
        await prepare();
        row.state = to;
      }),
    turnOff: (from: string, holdMs: number) =>
      inTurn(() => {
        const { id, on } = row.state;
        if (id !== from) return;
        if (on) row.state = { ...row.state, id: `${id}, off`, previous: id, on: false };
        heldUntil = Math.max(heldUntil, now() + holdMs);
      }),
  };
  return row satisfies CacheRow;
}

/** A connection to a map in process, that can break, and lead to another map afterwards. */
export function handMadeServer(memory = createMemoryCache({ now })) {
  const listeners: (() => void)[] = [];
  const server = {
    identified: 0,
    lost: false,
    unfit: undefined as string | undefined,
    /** Runs before its next answer to the identity check. */
    meanwhile: () => undefined as void,
    reset: () => listeners.forEach((listener) => listener()),
    restart() {
      memory = createMemoryCache({ now });
      server.reset();
    },
    async identify() {
      server.identified += 1;
      const identity = await memory.identify();
      server.meanwhile();
      if (server.lost) throw new Error('no server');
      return { ...identity, ...(server.unfit !== undefined && { unfit: server.unfit }) };
    },
    begin: (incarnation: string) => memory.begin(incarnation),
    onReset: (listener: () => void) => void listeners.push(listener),
  };
  return server;
}

export interface CacheProcess {
  readonly incarnation: Incarnation;
  readonly reports: string[];
  /** Milliseconds in which it did not read the cache. */
  off(): number;
}

/** The state of the row and of the server that a process has seen. */
export function startProcess(
  row: HandMadeRow,
  server: Pick<HandMadeServer, 'identify' | 'begin' | 'onReset'>,
  more: Partial<IncarnationOptions> = {},
): CacheProcess {
  const reports: string[] = [];
  let off = 0;
  const incarnation = createIncarnation({
    server: { ...createMemoryCache({ now }), ...server } satisfies CacheServer,
    row,
    now,
    generation: () => GENERATION,
    mayBegin: () => Promise.resolve(true),
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    meter: { off: (ms) => void (off += ms) },
    report: (message) => void reports.push(message),
    ...more,
  });
  return { incarnation, reports, off: () => off };
}
