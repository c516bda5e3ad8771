import { describe, expect, it } from '@jest/globals';
import { chain, claim, withCorruptValue } from '../../test/support/core.ts';
import { fingerprint } from '../events/envelope.ts';
import type { OwnerChanged } from '../events/genesis.ts';
import type { LogRecord } from '../events/record.ts';
import type { Ownership } from '../log/ownership.ts';
import { classify } from './arbitrate.ts';
import { bisect, createJudge, judgeBatch, poisoned, remainingBatch, type PartitionBatch } from './judge.ts';
import { PartitionState } from './partition-state.ts';
import type { StreamHead } from './judgement.ts';

const where = { topic: 't', partition: 0 };
const rules = { belongs: () => true, isVoid: () => false };

function workOf(records: readonly LogRecord[], { heads = {}, next = 10 } = {}): PartitionBatch {
  const state = new PartitionState(where, 100);
  const from = { next, fence: 4, fingerprint: 'before', leaderEpoch: 0 };
  state.begin({ ...where, ...from, stopped: null });
  state.moved(from, new Map(Object.entries(heads)));
  const stored = records.map((record, index) => ({ ...record, ...where, offset: next + index, leaderEpoch: 2 }));
  return { state, from, records: stored };
}
function judge(work: PartitionBatch, loaded: Record<string, StreamHead> = {}) {
  const classifications = work.records.map((record) => classify(record, rules));
  return judgeBatch(work, classifications, { loaded: new Map(Object.entries(loaded)) });
}
const kinds = (judged: ReturnType<typeof judge>) =>
  judged.accepted.map(({ payload }) =>
    typeof payload === 'string' ? payload : 'poison' in payload ? 'poison' : payload.event.type,
  );

describe('judgeBatch', () => {
  it('moves the checkpoint past all records, including losers, and keeps the fence', () => {
    const [one, two] = chain('album-1', ['a', 'b']);
    const judged = judge(workOf([one!, one!, two!]));
    expect(judged.to).toEqual({ next: 13, fence: 4, fingerprint: fingerprint(two!), leaderEpoch: 2 });
    expect(judged.losers.map(({ record, reason, alarm }) => [record.offset, reason, alarm])).toEqual([
      [11, 'lost the race', false],
    ]);
    expect(judged.heads.get('album-1')).toEqual({ version: 2, id: two!.id, closed: false });
  });

  it('uses the head of this batch before the remembered one, and that before the loaded one', () => {
    const all = chain('album-1', ['a', 'b', 'c']);
    const head = (index: number) => ({ version: index + 1, id: all[index]!.id, closed: false });
    expect(kinds(judge(workOf([all[1]!]), { 'album-1': head(0) }))).toEqual(['AlbumChanged']);
    expect(kinds(judge(workOf([all[2]!], { heads: { 'album-1': head(1) } }), { 'album-1': head(0) }))).toEqual([
      'AlbumChanged',
    ]);
    expect(kinds(judge(workOf([all[1]!, all[2]!]), { 'album-1': head(0) }))).toEqual(['AlbumChanged', 'AlbumChanged']);
    expect(kinds(judge(workOf([all[2]!]), { 'album-1': head(0) }))).toEqual([]);
  });

  it('closes a stream at a winner that cannot be decoded, and keeps later winners unapplied', () => {
    const [one, two, three] = chain('album-1', ['a', 'b', 'c']);
    const judged = judge(workOf([one!, withCorruptValue(two!), three!, ...chain('album-2', ['x'])]));
    expect(kinds(judged)).toEqual(['AlbumCreated', 'poison', 'kept', 'AlbumCreated']);
    expect(judged.heads.get('album-1')).toEqual({ version: 3, id: three!.id, closed: true });
    expect(judged.heads.get('album-2')).toMatchObject({ closed: false });
  });

  it('keeps winners of a closed stream unapplied', () => {
    const [one, two] = chain('album-1', ['a', 'b']);
    const judged = judge(workOf([two!]), { 'album-1': { version: 1, id: one!.id, closed: true } });
    expect(kinds(judged)).toEqual(['kept']);
  });

  it.each<[string, LogRecord, RegExp]>([
    ['a wrong checksum', withCorruptValue(claim({ stream: 'album-1' })), /checksum/],
    ['an unknown schema', claim({ stream: 'album-1', value: Buffer.from([0, 0, 0, 1, 0]) }), /schema id 256/],
    ["another type's value", claim({ stream: 'album-1', value: Buffer.from([0, 0, 0, 0, 4]) }), /ce_type says/],
    [
      'NUL in a text',
      claim({ stream: 'album-1', event: { type: 'AlbumCreated', albumId: 'album-1', name: 'a\0', year: 1 } }),
      /NUL/,
    ],
  ])('gives the reason why a winner cannot be decoded: %s', (_, record, reason) => {
    const [accepted] = judge(workOf([record])).accepted;
    expect(accepted!.payload).toEqual({ poison: expect.stringMatching(reason) });
  });

  it('ends before an accepted record that gives the log to another owner, and passes one that lost', () => {
    const [one, two] = chain('genesis-t-0', ['a', 'b']);
    const change = { owner: { systemIdentifier: '1', databaseOid: '2' } } as OwnerChanged;
    const ownership: Ownership = {
      changeBy: ({ version }) => (version === 2 ? change : undefined),
      onChange: () => Promise.resolve(),
    };
    const judgeOwned = (...records: readonly LogRecord[]) => {
      const work = workOf(records);
      const classifications = work.records.map((record) => classify(record, rules));
      return judgeBatch(work, classifications, { loaded: new Map(), ownership });
    };
    const other = claim({ stream: 'album-1' });
    const given = judgeOwned(one!, other, two!, other);
    expect([given.batch.records.length, given.to.next, given.accepted.length, given.ownerChanged]).toEqual([
      2,
      12,
      2,
      change,
    ]);
    const kept = judgeOwned(one!, claim({ stream: one!.key, version: 2, prev: other.id }), other);
    expect([kept.to.next, kept.losers.length, kept.ownerChanged]).toEqual([13, 1, undefined]);
  });

  it('closes the stream of a record that Postgres refuses', () => {
    const judged = poisoned(judge(workOf([claim({ stream: 'album-1' })])), 'refused');
    expect(judged.accepted[0]!.payload).toEqual({ poison: 'refused' });
    expect(judged.heads.get('album-1')).toMatchObject({ version: 1, closed: true });
  });
});

describe('the judge', () => {
  it('uses the heads that were remembered when it began, although the state forgets them while others are read', async () => {
    const [album, changed] = chain('album-1', ['a', 'b']);
    const [other, otherChanged] = chain('album-2', ['x', 'y']);
    const headOf = (record: LogRecord) => ({ version: 1, id: record.headers.ce_id ?? '', closed: false });
    const batch = workOf([changed!, otherChanged!], { heads: { 'album-1': headOf(album!) } });
    const heads = (streams: readonly string[]) => {
      batch.state.forget();
      return Promise.resolve(new Map(streams.map((stream) => [stream, headOf(other!)])));
    };
    const stop = () => Promise.resolve();
    const [judged] = await createJudge({ store: { heads }, rules: () => rules, stop })([batch], true);
    expect([kinds(judged!), judged!.losers]).toEqual([['AlbumChanged', 'AlbumChanged'], []]);
  });
});

describe('bisect', () => {
  const records = (count: number) => Array.from({ length: count }, (_, n) => claim({ stream: `album-${n}` }));
  const sizes = (works: readonly (readonly PartitionBatch[])[]) =>
    works.map((half) => half.map((work) => work.records.length));

  it('halves between partitions first, then within one, and loses no record', () => {
    const works = [3, 5, 4].map((count) => workOf(records(count)));
    expect(sizes(bisect(works))).toEqual([[3], [5, 4]]);
    expect(sizes(bisect([workOf(records(5))]))).toEqual([[2], [3]]);
  });

  it('gives halves that continue only after the records before them were committed', () => {
    const [first, second] = bisect([workOf(records(4))]).map(([work]) => work!);
    expect(remainingBatch(first!)).toHaveLength(1);
    expect(remainingBatch(second!)).toHaveLength(0);
    const moved = { next: 12, fence: 4, fingerprint: 'x', leaderEpoch: 0 };
    second!.state.moved(moved, new Map());
    expect(remainingBatch(second!)).toEqual([{ ...second!, from: moved }]);
    second!.state.forget();
    expect(remainingBatch(second!)).toEqual([]);
  });
});
