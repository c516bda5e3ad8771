import type { AnyEvent } from '../../events/events.ts';
import type { Columns, Table, TableChanges } from './table.ts';

/** An event with the stream and version it won. */
export interface AppliedEvent {
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
export interface Projection<C extends Columns = Columns> {
  readonly table: Table;
  /** Creates the table and its indexes, in the schema of a new generation. */
  readonly ddl: string;
  apply(applied: AppliedEvent, changes: TableChanges<C>): void;
}
