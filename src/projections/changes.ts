import { keyOf, type Rows, type Table, type Value } from './projection.ts';

type Row = Readonly<Record<string, Value>>;
type Change = { readonly put: Row } | { readonly patch: Row } | 'remove';

/** One thing to do to many rows of a table, in one statement. */
export interface BulkWrite {
  readonly table: Table;
  readonly kind: 'put' | 'patch' | 'remove';
  /** The columns each row names, the key first. */
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** Folds changes per key, so that every row is written at most once however many events touched it. */
export class Changes implements Rows {
  readonly #table: Table;
  readonly #key: string;
  readonly #changes = new Map<string, Change>();

  constructor(table: Table) {
    this.#table = table;
    this.#key = keyOf(table);
  }

  put(row: Row): void {
    this.#changes.set(String(row[this.#key]), { put: row });
  }

  patch(key: string, columns: Row): void {
    const before = this.#changes.get(key);
    if (before === 'remove') return;
    if (before && 'put' in before) this.#changes.set(key, { put: { ...before.put, ...columns } });
    else this.#changes.set(key, { patch: { [this.#key]: key, ...before?.patch, ...columns } });
  }

  remove(key: string): void {
    this.#changes.set(key, 'remove');
  }

  /** Patches are grouped by the columns they name. */
  writes(): BulkWrite[] {
    const groups = new Map<string, { kind: BulkWrite['kind']; columns: string[]; rows: Row[] }>();
    for (const [key, change] of this.#changes) {
      const kind = change === 'remove' ? 'remove' : 'put' in change ? 'put' : 'patch';
      const row = change === 'remove' ? { [this.#key]: key } : 'put' in change ? change.put : change.patch;
      const columns = kind === 'put' ? Object.keys(this.#table.columns) : Object.keys(row);
      const name = `${kind} ${columns.join()}`;
      const group = groups.get(name) ?? { kind, columns, rows: [] };
      group.rows.push(row);
      groups.set(name, group);
    }
    return [...groups.values()].map((group) => ({ table: this.#table, ...group }));
  }
}
