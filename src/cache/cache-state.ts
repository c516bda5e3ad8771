/** The row in Postgres that says which cache counts. What it has said before, it never says again. */
export interface CacheState {
  /** Also the incarnation that the server repeats while the cache is on. */
  readonly id: string;
  /** Id of the row that this one replaced. */
  readonly previous: string;
  readonly on: boolean;
  /** Of the server that has the incarnation. */
  readonly runId: string;
  /** The build whose answers are cached. */
  readonly generation: number;
}

export interface CacheRow {
  /** `now`: the database's clock in milliseconds, when it answered. */
  read(): Promise<CacheState & { readonly now: number }>;
  /**
   * Replaces the row, unless it is another one than `from` by now, or is held off. `prepare` runs while nobody else can
   * replace it. Durable before anybody can read it.
   */
  replace(from: string, to: CacheState, prepare: () => Promise<void>): Promise<void>;
  /** Replaces the row by one that is off, unless it is another one by now, or off already; it is held off for so long. */
  turnOff(from: string, holdMs: number): Promise<void>;
}

/** Entries are served for so long after the row was asked for. Whoever turns the cache off waits as long. */
export const STATE_VALID_MS = 1_000;

/** The row as one process knows it. */
export interface CacheStateReader {
  /** As it was read last; undefined before the first time. */
  last(): Known | undefined;
  /** Reads it now. */
  refresh(): Promise<CacheState>;
}

export interface Known {
  readonly state: CacheState;
  /** When the question was sent. */
  readonly askedAt: number;
  /** From when on nobody can believe an older row. */
  readonly settledAt: number;
  /** Added to our clock it gives the database's, or an earlier time. */
  readonly ahead: number;
}

/** `settleMs`: so long an older row can be believed, after it was replaced. */
export function createCacheStateReader(
  row: Pick<CacheRow, 'read'>,
  now: () => number,
  settleMs: number,
): CacheStateReader {
  let known: Known | undefined;

  /** Of a row that turned a cache on that was off, nothing older can be believed but that it is off. */
  function settledAt(state: CacheState, arrived: number): number {
    if (!known) return arrived + settleMs;
    const { id, on } = known.state;
    return id === state.id || (!on && id === state.previous) ? known.settledAt : arrived + settleMs;
  }

  return {
    last: () => known,
    async refresh() {
      const askedAt = now();
      const { now: databaseTime, ...state } = await row.read();
      const arrived = now();
      known = { state, askedAt, settledAt: settledAt(state, arrived), ahead: databaseTime - arrived };
      return state;
    },
  };
}
