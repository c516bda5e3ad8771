/** A list that is read some rows at a time. Between two reads it holds no connection. */
export interface List<Row> {
  /** Returns at most so many of the next rows, possibly none; undefined at the end. */
  next(most: number): Promise<readonly Row[] | undefined>;
}

/** A list in the order of a key that never changes; `load` is given the last row so far. */
export function byKey<Row>(load: (most: number, after: Row | undefined) => Promise<readonly Row[]>): List<Row> {
  let [last, isOver] = [undefined as Row | undefined, false];
  return {
    async next(most) {
      if (isOver) return undefined;
      const rows = await load(most, last);
      last = rows.at(-1) ?? last;
      isOver = rows.length < most;
      return rows;
    },
  };
}

/** The most bytes of text that are read together with the thing that a list belongs to. */
const MAX_BYTES = 256_000;

/** SQL of the first rows of a statement whose texts have MAX_BYTES together; `bytes` sums them up to each row. */
export const upToBytes = (statement: string, texts: readonly string[]): string => {
  const bytes = texts.map((column) => `octet_length(${column})`).join(' + ');
  return `SELECT * FROM (SELECT part.*, sum(${bytes}) OVER (ROWS UNBOUNDED PRECEDING) AS bytes FROM (${statement}) part) counted
    WHERE bytes - (${bytes}) <= ${MAX_BYTES}`;
};

/** Whether rows that were read with `upToBytes` are all there are, and no more than `most`. */
export const areAll = (rows: readonly { readonly bytes: number | null }[], most: number): boolean =>
  rows.length <= most && (rows.at(-1)?.bytes ?? 0) <= MAX_BYTES;

/** How many keys are in memory at a time. */
export const MAX_KEYS = 20_000;

/**
 * A list that reads the keys first, in order, and then the rows by key, so that the search is not repeated for every few rows.
 * `keysAfter` finds at most MAX_KEYS of them; `rowsOf` leaves out rows that no longer exist.
 */
export function byFoundKeys<Key, Row>(
  keysAfter: (last: Key | undefined) => Promise<readonly Key[]>,
  rowsOf: (keys: readonly Key[]) => Promise<readonly Row[]>,
): List<Row> {
  let [keys, at, last] = [[] as readonly Key[], 0, undefined as Key | undefined];
  let isLast = false;
  return {
    async next(most) {
      if (at === keys.length) {
        if (isLast) return undefined;
        [keys, at] = [await keysAfter(last), 0];
        last = keys.at(-1);
        isLast = keys.length < MAX_KEYS;
      }
      const some = keys.slice(at, at + most);
      at += some.length;
      return some.length === 0 ? [] : rowsOf(some);
    },
  };
}
