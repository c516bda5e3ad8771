import type { PartitionOpened } from '../../../src/events/genesis.ts';
import { claim, INCARNATION, isCorrupt, kitCase, type Making, type Step, uuid, wins, withHeader } from '../kit.ts';

const stream = 'genesis-openmusic.catalog-2';
const opened: PartitionOpened = {
  type: 'PartitionOpened',
  incarnation: INCARNATION,
  topic: 'openmusic.catalog',
  partition: 2,
  partitions: 6,
  ruleVersion: 2,
  owner: null,
};
const first = (change: Partial<PartitionOpened> = {}, making: Making = {}) =>
  claim({ stream, event: { ...opened, ...change }, ...making });
const owner = { systemIdentifier: '7512345678901234567', databaseOid: '16384' };

const opens = (name: string, step: Step) => kitCase(name, [step], { opens: true });
const refused = (name: string, step: Step) => kitCase(name, [step], { opens: false });

export const genesis = [
  opens('a partition opens with its genesis record', wins(first())),
  opens('which may name an owner', wins(first({ owner }))),
  kitCase(
    'the owner can change later, which changes nothing for a reader of events',
    [
      wins(first({ owner: null })),
      wins(
        claim({
          stream,
          version: 2,
          prev: uuid(1),
          event: {
            type: 'OwnerChanged',
            incarnation: INCARNATION,
            topic: 'openmusic.catalog',
            partition: 2,
            owner,
            previousOwner: null,
            reason: 'adopted',
            at: '2026-11-22T21:06:18.353Z',
          },
        }),
      ),
      wins(claim()),
    ],
    { opens: true },
  ),
  refused('a rule of another version is not known', wins(first({ ruleVersion: 3 }))),
  refused('a genesis record of another partition', wins(first({ partition: 3 }))),
  refused('a genesis record of another topic', wins(first({ topic: 'openmusic.likes' }))),
  refused('another event', wins(claim({ stream }))),
  refused('another stream', wins(claim({ event: opened }))),
  refused('a header that was changed', isCorrupt(withHeader(first(), 'ce_actor', 'another'))),
];
