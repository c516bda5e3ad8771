/** The row in Postgres that says which incarnation of the cache is in use. */
export interface CacheState {
  /** Random, so it never repeats. While the cache is on, it is also the incarnation that the server repeats under its own key. */
  readonly id: string;
  /** Id of the row that this one replaced. */
  readonly previous: string;
  readonly on: boolean;
  /** Of the server that holds the incarnation. */
  readonly runId: string;
  /** The generation of read models whose answers are cached. */
  readonly generation: number;
}

export interface CacheRow {
  /** `now`: the database's clock in milliseconds when it answered. */
  read(): Promise<CacheState & { readonly now: number }>;
  /**
   * Replaces the row, unless its id is no longer `from` or the cache is held off. `prepare` runs while no other process can
   * replace the row. The new row is durable before any process can read it.
   */
  replace(from: string, to: CacheState, prepare: () => Promise<void>): Promise<void>;
  /** Replaces the row with one that is off, if its id is `from` and it is on. The cache is held off for `holdMs`. */
  turnOff(from: string, holdMs: number): Promise<void>;
}

/**
 * A process serves entries for this long after it asked for the row. The process that turns the cache off must wait this long,
 * because others may still serve entries by the old row.
 */
export const STATE_VALID_MS = 1_000;

/** Reads the row for one process. */
export interface CacheStateReader {
  /** The last result; undefined before the first one. */
  last(): CacheStateReading | undefined;
  /** Reads the row now. */
  refresh(): Promise<CacheState>;
}

export interface CacheStateReading {
  readonly state: CacheState;
  /** When the query was sent. */
  readonly askedAt: number;
  /** From this time on no process uses an older row. */
  readonly settledAt: number;
  /** Our clock plus this is the database's clock, or an earlier time. */
  readonly ahead: number;
}

/** `settleMs`: how long other processes may use an older row after it was replaced. */
export function createCacheStateReader(
  row: Pick<CacheRow, 'read'>,
  now: () => number,
  settleMs: number,
): CacheStateReader {
  let last: CacheStateReading | undefined;
  return {
    last: () => last,
    async refresh() {
      const askedAt = now();
      const { now: databaseTime, ...state } = await row.read();
      const arrived = now();
      const settledAt = settledAtOf(last, state) ?? arrived + settleMs;
      last = { state, askedAt, settledAt, ahead: databaseTime - arrived };
      return state;
    },
  };
}

/**
 * Undefined when the row has changed. A row that turns the cache on directly after one that was off needs no wait: a process that
 * still uses the older row reads no cache.
 */
function settledAtOf(last: CacheStateReading | undefined, state: CacheState): number | undefined {
  if (!last) return undefined;
  const { id, on } = last.state;
  return id === state.id || (!on && id === state.previous) ? last.settledAt : undefined;
}
