import { describe, expect, it } from '@jest/globals';
import { claim } from '../../../test/support/core.ts';
import { readEnvelope } from '../../events/envelope.ts';
import type { BulkWrite } from './changes.ts';
import type { Table } from './table.ts';
import { streamEvents } from '../../event-store/stream-index.ts';
import { bulkSql, commitStatement } from './statement.ts';
import type { Accepted, Checkpoint } from '../../event-store/judgement.ts';

const table: Table = { name: 'things', columns: { id: 'text', a: 'integer', b: 'boolean' } };
const checkpoint = (next: number): Checkpoint => ({ next, fence: 2, fingerprint: `f${next}`, leaderEpoch: 0 });
const move = (partition: number) => ({ topic: 't', partition, from: checkpoint(1), to: checkpoint(5) });
const write = (kind: BulkWrite['kind'], rows: BulkWrite['rows'] = [{ id: 'x', a: 1 }]): BulkWrite => ({
  table,
  kind,
  columns: kind === 'remove' ? ['id'] : ['id', 'a'],
  rows,
});

function accepted(payload: Accepted['payload']): Accepted {
  const record = { ...claim({ stream: 'album-1' }), topic: 't', partition: 0, offset: 1, leaderEpoch: 0 };
  const reading = readEnvelope(record);
  if (reading.kind !== 'ours') throw new Error(reading.reason);
  return { record, envelope: reading.envelope, payload };
}

const OPTIONS = { namespace: 'openmusic', streamIndex: streamEvents };

describe('a commit as one statement', () => {
  it('compares every checkpoint with the expected one, and requires all of them to move', () => {
    const { text, values } = commitStatement({ moves: [move(0), move(1)], accepted: [] }, [], OPTIONS);
    expect(text).toMatch(/c\.next = m\.expected AND c\.fence = m\.fence/);
    expect(values![1]).toBe(2);
    expect(JSON.parse(values![0] as string)).toMatchObject([
      { topic: 't', partition: 0, expected: 1, fence: 2, next: 5, fingerprint: 'f5' },
      { topic: 't', partition: 1 },
    ]);
  });

  it('makes every part depend on the gate', () => {
    const event = { event: { type: 'AlbumDeleted', albumId: 'album-1', name: 'n', year: 1 } } as const;
    const writes = (['put', 'patch', 'remove'] as const).map((kind) => write(kind));
    const { text, values } = commitStatement(
      { moves: [move(0)], accepted: [accepted(event), accepted({ poison: 'r' })] },
      writes,
      OPTIONS,
    );
    expect(text.match(/part\d AS \(/g)).toHaveLength(5);
    expect(text.match(/WHERE gate\.open/g)).toHaveLength(5);
    expect(values).toHaveLength(8);
    expect(text).not.toContain('$n');
  });

  it('quarantines only poisoned records, and stores every winner', () => {
    const all = [
      accepted({ event: { type: 'AlbumDeleted', albumId: 'album-1', name: 'n', year: 1 } }),
      accepted('kept'),
      accepted({ poison: 'why' }),
    ];
    const { values } = commitStatement({ moves: [move(0)], accepted: all }, [], OPTIONS);
    const [, , , events, quarantine] = values as string[];
    expect(JSON.parse(events!)).toHaveLength(3);
    expect(JSON.parse(quarantine!)).toEqual([
      expect.objectContaining({ stream: 'album-1', version: 1, reason: 'why', record_id: all[2]!.envelope.id }),
    ]);
  });

  it('has the same name as equal texts and no others', () => {
    const name = (...writes: BulkWrite[]) => commitStatement({ moves: [move(0)], accepted: [] }, writes, OPTIONS).name;
    expect(name(write('put'))).toBe(name(write('put', [{ id: 'y', a: 2 }, { id: 'z', a: 3 }]))); // prettier-ignore
    expect(new Set([name(), name(write('put')), name(write('patch')), name(write('remove'))]).size).toBe(4);
  });
});

describe('a bulk write', () => {
  it.each([
    ['put', /INSERT INTO things AS t \(id, a\)\s.*\sON CONFLICT \(id\) DO UPDATE SET a = excluded\.a$/s],
    ['add', /INSERT INTO things AS t .* ON CONFLICT \(id\) DO UPDATE SET a = t\.a \+ excluded\.a$/s],
    ['patch', /^UPDATE things t SET a = r\.a\s.* AND t\.id = r\.id$/s],
    ['remove', /^DELETE FROM things t USING .* AND t\.id = r\.id$/s],
  ] as const)('%s', (kind, form) => {
    expect(bulkSql(write(kind))).toMatch(form);
  });

  it('takes the types of its columns from the table', () => {
    expect(bulkSql({ ...write('put'), columns: ['id', 'a', 'b'] })).toContain('r (id text, a integer, b boolean)');
  });
});
