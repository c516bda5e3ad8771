import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { type BulkWrite, Changes } from './changes.ts';
import type { Columns, Table, TableChanges, WrittenRow } from './table.ts';

const table: Table = { name: 'things', columns: { id: 'text', a: 'integer', b: 'integer' } };
interface Row {
  id: string;
  a: number;
  b: number;
}
type Action = { put: Row } | { patch: [string, Partial<Row>] } | { remove: string };

function fold(actions: readonly Action[]) {
  const changes = new Changes(table);
  for (const action of actions) act(changes, action);
  return changes.writes().map(({ kind, columns, rows }) => ({ kind, columns, rows }));
}

function act(rows: Omit<TableChanges, 'add'>, action: Action): void {
  if ('put' in action) rows.put({ ...action.put });
  else if ('patch' in action) rows.patch(action.patch[0], { ...action.patch[1] });
  else rows.remove(action.remove);
}

/** A table that performs one action at a time. */
class Plain implements Omit<TableChanges, 'add'> {
  readonly rows: Map<string, Row>;
  constructor(rows: Iterable<[string, Row]>) {
    this.rows = new Map(rows);
  }
  put(row: object): void {
    this.rows.set((row as Row).id, row as Row);
  }
  patch(key: string, columns: object): void {
    const row = this.rows.get(key);
    if (row) this.rows.set(key, { ...row, ...columns });
  }
  remove(key: string): void {
    this.rows.delete(key);
  }
}

describe('changes', () => {
  it.each<[string, Action[], object[]]>([
    ['keeps a put whole', [{ put: { id: 'x', a: 1, b: 2 } }], [{ kind: 'put', rows: [{ id: 'x', a: 1, b: 2 }] }]],
    [
      'merges a patch into the put before it',
      [{ put: { id: 'x', a: 1, b: 2 } }, { patch: ['x', { b: 3 }] }],
      [{ kind: 'put', rows: [{ id: 'x', a: 1, b: 3 }] }],
    ],
    [
      'merges patches of one row',
      [{ patch: ['x', { a: 1 }] }, { patch: ['x', { b: 2 }] }, { patch: ['x', { a: 3 }] }],
      [{ kind: 'patch', columns: ['id', 'a', 'b'], rows: [{ id: 'x', a: 3, b: 2 }] }],
    ],
    [
      'ignores a patch of a removed row',
      [{ remove: 'x' }, { patch: ['x', { a: 1 }] }],
      [{ kind: 'remove', rows: [{ id: 'x' }] }],
    ],
    ['keeps a put after a removal', [{ remove: 'x' }, { put: { id: 'x', a: 1, b: 2 } }], [{ kind: 'put' }]],
    [
      'keeps only the removal of a row that was changed before',
      [{ put: { id: 'x', a: 1, b: 2 } }, { remove: 'x' }],
      [{ kind: 'remove', rows: [{ id: 'x' }] }],
    ],
    [
      'writes patches of different columns separately',
      [{ patch: ['x', { a: 1 }] }, { patch: ['y', { b: 1 }] }, { patch: ['z', { a: 2 }] }],
      [
        { kind: 'patch', columns: ['id', 'a'], rows: [{ id: 'x' }, { id: 'z' }] },
        { kind: 'patch', columns: ['id', 'b'] },
      ],
    ],
  ])('%s', (_, actions, writes) => {
    expect(fold(actions)).toMatchObject(writes);
    expect(fold(actions)).toHaveLength(writes.length);
  });

  it('leave the same rows folded as one by one, and touch each row once', () => {
    const key = fc.constantFrom('x', 'y', 'z');
    const number = fc.integer({ min: 0, max: 9 });
    const row = fc.record({ id: key, a: number, b: number }, { noNullPrototype: true });
    const some = fc.record({ a: number, b: number }, { requiredKeys: [], noNullPrototype: true });
    const action = fc.oneof(
      row.map((put): Action => ({ put })),
      fc.tuple(key, some).map((patch): Action => ({ patch })),
      key.map((remove): Action => ({ remove })),
    );
    fc.assert(
      fc.property(fc.array(row), fc.array(action), (before, actions) => {
        const start = before.map((each): [string, Row] => [each.id, each]);
        const [plain, folded] = [new Plain(start), new Plain(start)];
        for (const each of actions) act(plain, each);
        const writes = fold(actions);
        for (const { kind, rows } of writes) for (const each of rows) perform(folded, kind, each);
        expect(Object.fromEntries(folded.rows)).toEqual(Object.fromEntries(plain.rows));
        const touched = writes.flatMap(({ rows }) => rows.map(({ id }) => id));
        expect(new Set(touched).size).toBe(touched.length);
      }),
    );
  });
});

it('adds up counters by key', () => {
  const changes = new Changes({ name: 'counts', columns: { id: 'text', n: 'integer' } });
  for (const [key, n] of [['x', 1], ['y', 1], ['x', 1], ['y', -1]] as const) changes.add(key, { n }); // prettier-ignore
  expect(changes.writes()).toMatchObject([
    { kind: 'add', columns: ['id', 'n'], rows: [{ id: 'x', n: 2 }, { id: 'y', n: 0 }] }, // prettier-ignore
  ]);
});

function perform(rows: Omit<TableChanges, 'add'>, kind: BulkWrite['kind'], row: WrittenRow<Columns>): void {
  if (kind === 'put') rows.put(row);
  else if (kind === 'patch') rows.patch(String(row.id), row);
  else rows.remove(String(row.id));
}
