/** A list that is read some rows at a time. Between two reads it holds nothing. */
export interface List<Row> {
  /** At most so many of the rows that come next, maybe none of them; undefined at the end. */
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

/** What is read with the thing that a list belongs to, of the texts of its rows. */
const MAX_BYTES = 256_000;

/** SQL of the rows that a statement finds, in its order, as far as texts of them have MAX_BYTES; `bytes` counts them up to each row. */
export const upToBytes = (statement: string, texts: readonly string[]): string => {
  const bytes = texts.map((column) => `octet_length(${column})`).join(' + ');
  return `SELECT * FROM (SELECT part.*, sum(${bytes}) OVER (ROWS UNBOUNDED PRECEDING) AS bytes FROM (${statement}) part) counted
    WHERE bytes - (${bytes}) <= ${MAX_BYTES}`;
};

/** Whether rows that were read in such a way are all that there are, and no more than `most`. */
export const areAll = (rows: readonly { readonly bytes: number | null }[], most: number): boolean =>
  rows.length <= most && (rows.at(-1)?.bytes ?? 0) <= MAX_BYTES;

/** Keys in memory at a time. */
export const MAX_KEYS = 20_000;

/**
 * A list whose order is read first, as keys, and its rows by key: what finds the rows is not run again for every few of them.
 * `keysAfter` finds at most MAX_KEYS of them; `rowsOf` leaves out rows that are gone.
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
