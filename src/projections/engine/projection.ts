import type { AnyEvent } from '../../events/events.ts';

export type Value = string | number | boolean | null;

/** A read model's table. */
export interface Table {
  readonly name: string;
  /** Columns and their types; the first is the primary key. */
  readonly columns: Readonly<Record<string, 'text' | 'integer' | 'bigint' | 'boolean' | 'timestamptz'>>;
}

/** An event with the stream and version it won. */
export interface Applied {
  readonly stream: string;
  readonly version: number;
  /** ISO 8601, UTC: when the command was decided. */
  readonly time: string;
  /** Account id, `anonymous` or `system`. */
  readonly actor: string;
  readonly event: AnyEvent;
}

/**
 * Turns events into one table. `apply` writes only rows that belong to the stream of the event in hand and decides from
 * nothing but the event, so that every interleaving of partitions gives the same rows.
 */
export interface Projection {
  readonly table: Table;
  /** Creates the table and its indexes, in the schema of a new generation. */
  readonly ddl: string;
  apply(applied: Applied, rows: Rows): void;
}

/**
 * What a projection can do to its table. Applying the same event twice must leave the same rows, but for counters: these
 * rely on the checkpoint, and on being touched from one partition only.
 */
export interface Rows {
  /** The whole row; every column is named. */
  put(row: Readonly<Record<string, Value>>): void;
  /** Some columns of a row that is there; ignored when it is not. */
  patch(key: string, columns: Readonly<Record<string, Value>>): void;
  remove(key: string): void;
  /** Adds to counters, which begin at zero. A table with counters has nothing else, and nothing else is done to it. */
  add(key: string, counters: Readonly<Record<string, number>>): void;
}

/** The primary key's column. */
export function keyOf(table: Table): string {
  const [key] = Object.keys(table.columns);
  if (key === undefined) throw new Error(`Table ${table.name} has no columns.`);
  return key;
}
