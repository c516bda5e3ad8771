import { type Columns, keyOf, type Table, type TableChanges, type WrittenRow } from './table.ts';

/** A row of any table. */
type Row = WrittenRow<Columns>;

interface Change {
  readonly kind: BulkWrite['kind'];
  readonly row: Row;
}

/** One kind of change to many rows of a table, in one statement. */
export interface BulkWrite {
  readonly table: Table;
  readonly kind: 'put' | 'patch' | 'remove' | 'add';
  /** The columns each row names, the key first. */
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** Folds changes per key, so that every row is written at most once however many events touched it. */
export class Changes implements TableChanges {
  readonly #table: Table;
  readonly #key: string;
  readonly #changes = new Map<string, Change>();

  constructor(table: Table) {
    this.#table = table;
    this.#key = keyOf(table);
  }

  /** The row belongs to the changes from now on: patches change it in place, because every event makes one. */
  put(row: Row): void {
    this.#changes.set(String(row[this.#key]), { kind: 'put', row });
  }

  patch(key: string, columns: Row): void {
    const before = this.#changes.get(key);
    if (!before) this.#changes.set(key, { kind: 'patch', row: { [this.#key]: key, ...columns } });
    else if (before.kind !== 'remove') Object.assign(before.row, columns);
  }

  remove(key: string): void {
    this.#changes.set(key, { kind: 'remove', row: { [this.#key]: key } });
  }

  add(key: string, counters: Readonly<Record<string, number>>): void {
    const before = this.#changes.get(key)?.row ?? {};
    const sums = Object.entries(counters).map(([name, more]): [string, number] => [
      name,
      Number(before[name] ?? 0) + more,
    ]);
    this.#changes.set(key, { kind: 'add', row: { ...before, [this.#key]: key, ...Object.fromEntries(sums) } });
  }

  /** Grouped by the columns they name. */
  writes(): BulkWrite[] {
    const groups = new Map<string, { kind: BulkWrite['kind']; columns: string[]; rows: Row[] }>();
    for (const { kind, row } of this.#changes.values()) {
      const columns = kind === 'put' ? Object.keys(this.#table.columns) : Object.keys(row);
      const name = `${kind} ${columns.join()}`;
      const group = groups.get(name) ?? { kind, columns, rows: [] };
      group.rows.push(row);
      groups.set(name, group);
    }
    return [...groups.values()].map((group) => ({ table: this.#table, ...group }));
  }
}
