import { describe, expect, it } from '@jest/globals';
import type { LogOwner } from '../../events/genesis.ts';
import { newId } from '../../events/ids.ts';
import { createPlacement } from '../../events/placement.ts';
import { partitionKey, type StoredRecord } from '../../events/record.ts';
import { type Append, AppendError } from '../../log/event-log.ts';
import { genesisRecord } from '../../log/genesis.ts';
import { changeOwner, ownersOf, type OwnersOptions } from './owners.ts';

const placement = createPlacement('music', 1);
const [first, second, third] = ['1', '2', '3'].map((databaseOid) => ({ systemIdentifier: '7', databaseOid })) as [
  LogOwner,
  LogOwner,
  LogOwner,
];
const isVoid = () => false;
const now = () => new Date(0);

/** A log that `first` has made. Appends end as given, in their order; later ones succeed. */
function logOf(...appends: readonly ('well' | 'unanswered' | 'lost' | 'refused')[]) {
  const records = new Map<string, StoredRecord[]>(placement.all.map((where) => [partitionKey(where), []]));
  const of = (where: { topic: string; partition: number }) => records.get(partitionKey(where))!;
  const write = ({ topic, partition, record }: Append) =>
    void of({ topic, partition }).push({
      ...record,
      topic,
      partition,
      offset: of({ topic, partition }).length,
      leaderEpoch: 0,
    });
  const incarnation = newId();
  for (const where of placement.all) write({ ...where, record: genesisRecord(placement, where, incarnation, first) });
  const outcomes = [...appends];
  const log: OwnersOptions['log'] = {
    ends: (asked) => Promise.resolve(asked.map((where) => ({ ...where, offset: of(where).length }))),
    read: (from) => Promise.resolve(of(from).slice(from.offset, from.offset + 1)),
    append(batch) {
      const outcome = outcomes.shift() ?? 'well';
      if (outcome === 'refused') return Promise.reject(new AppendError('refused', 'no'));
      if (outcome !== 'lost') batch.forEach(write);
      return outcome === 'well' ? Promise.resolve() : Promise.reject(new AppendError('unknown', 'no answer'));
    },
  };
  return { log, write, count: () => [...records.values()].flat().length };
}

const owners = async (log: OwnersOptions['log']) =>
  (await ownersOf({ log, placement, isVoid })).map(({ owner, head }) => [owner, head.version]);
const adopt = async (log: OwnersOptions['log'], me: LogOwner, from: LogOwner) =>
  changeOwner(
    { log, placement, isVoid, me, from: [from], reason: 'adopted', now },
    await ownersOf({ log, placement, isVoid }),
  );
const all = <T>(value: T) => placement.all.map(() => value);

describe('a change of owner', () => {
  it('appends one record to the genesis stream of each partition', async () => {
    const { log, count } = logOf();
    expect(await owners(log)).toEqual(all([first, 1]));
    const changed = await adopt(log, second, first);
    expect(changed.map(({ head }) => head.version)).toEqual(all(2));
    expect(await owners(log)).toEqual(all([second, 2]));
    expect(count()).toBe(2 * placement.all.length);
  });

  it('is completed by the next run after a run that ended at any partition, and changes each partition once', async () => {
    for (let before = 0; before < placement.all.length; before++) {
      const { log, count } = logOf(...Array.from({ length: before }, () => 'well' as const), 'refused');
      await expect(adopt(log, second, first)).rejects.toThrow(AppendError);
      expect((await owners(log)).filter(([, version]) => version === 2)).toHaveLength(before);
      await adopt(log, second, first);
      expect(await owners(log)).toEqual(all([second, 2]));
      expect(count()).toBe(2 * placement.all.length);
    }
  });

  it('repeats an append without an answer, and takes effect once', async () => {
    const { log } = logOf('lost', 'unanswered', 'lost', 'lost', 'unanswered');
    await adopt(log, second, first);
    expect(await owners(log)).toEqual(all([second, 2]));
  });

  it('refuses to replace an owner that was not named, as when another database was faster', async () => {
    const { log } = logOf();
    const known = await ownersOf({ log, placement, isVoid });
    await adopt(log, third, first);
    const late = changeOwner({ log, placement, isVoid, me: second, from: [first], reason: 'adopted', now }, known);
    await expect(late).rejects.toThrow('now belongs to the database 7/3');
    expect(await owners(log)).toEqual(all([third, 2]));
  });

  it('ignores a record that lost', async () => {
    const { log, write } = logOf();
    const other = logOf();
    await adopt(other.log, second, first); // on heads that are not of this log
    for (const where of placement.all) {
      const [stray] = await other.log.read({ ...where, offset: 1 });
      write({ ...where, record: stray as StoredRecord });
    }
    expect(await owners(log)).toEqual(all([first, 1]));
  });
});
