import { encodeEvent } from '../../../src/events/codec.ts';
import {
  blank,
  type CaseOptions,
  chain,
  claim,
  isCorrupt,
  kitCase,
  loses,
  marker,
  type Step,
  streamIn,
  unjudged,
  uuid,
  wins,
  withHeader,
} from '../kit.ts';

const [one = claim(), two = claim(), three = claim()] = chain(3);
const corrupt = withHeader(two, 'ce_actor', 'another');
const album = encodeEvent({ type: 'AlbumCreated', albumId: streamIn(1), name: 'Parachutes', year: 2000 });

/** A case of one record, the given step, and two more records. */
const between = (name: string, step: Step, voids: NonNullable<CaseOptions['voids']>) =>
  kitCase(
    name,
    step.said?.verdict === 'stop'
      ? [wins(one), step, unjudged(two), unjudged(three)]
      : [wins(one), step, wins(two), wins(three)],
    { voids },
  );

const at = (offset: number, lastOffset = offset) => ({ offset, lastOffset });

export const offsets = [
  kitCase('control batches are passed, wherever they stand', [
    marker(),
    wins(one),
    marker(),
    marker(2),
    wins(two),
    marker(),
  ]),
  between('a batch that cannot be read stops the partition', blank('unreadable', 3, 'stop'), []),
  between('missing offsets stop the partition', blank('missing', 2, 'stop'), []),
  kitCase('missing offsets before the first record stop the partition', [blank('missing', 1, 'stop'), unjudged(one)]),
  between('a corrupt record stops the partition', isCorrupt(corrupt), []),
  between('a corrupt record that is void is passed', loses(corrupt, 'void'), [at(1)]),
  between('a batch that cannot be read and is void is passed', blank('unreadable', 3, 'void'), [at(1, 3)]),
  between('missing offsets that are void are passed', blank('missing', 2, 'void'), [at(1, 2)]),
  between('several voids cover a batch together', blank('unreadable', 4, 'void'), [at(3, 4), at(1), at(2)]),
  between('voids may overlap', blank('missing', 4, 'void'), [at(2, 4), at(1, 3), at(1, 1)]),
  between('a void of a part of a batch does not count', blank('unreadable', 3, 'stop'), [at(1, 2)]),
  between('nor does a void of a part of a gap', blank('missing', 3, 'stop'), [at(2, 3)]),
  between('nor do two with a hole', blank('missing', 3, 'stop'), [at(1), at(3)]),
  between('a void may be declared twice', loses(corrupt, 'void'), [at(1), at(1)]),
  between('a later void of the same position may cover more', blank('missing', 3, 'void'), [at(1, 2), at(1, 3)]),
  between('a later void of the same position takes nothing back', blank('missing', 3, 'void'), [at(1, 3), at(1, 2)]),
  between('a void of another partition does not count', isCorrupt(corrupt), [{ ...at(1), partition: 3 }]),
  between('a void of another topic does not count', isCorrupt(corrupt), [{ ...at(1), topic: 'openmusic.likes' }]),
  between('a void of another incarnation does not count', isCorrupt(corrupt), [{ ...at(1), incarnation: uuid(7) }]),
  between('a void that ends before it begins does not count', isCorrupt(corrupt), [at(1, 0)]),
  between('what is no void among the voids does not count', isCorrupt(corrupt), [null, Buffer.alloc(0), album]),
  between('nor does it hide one', loses(corrupt, 'void'), [null, album, at(1), Buffer.of(1)]),
  kitCase(
    'a record that would be accepted is none when it is void, and what was decided on it loses',
    [wins(one), loses(two, 'void'), loses(three, 'lost'), wins(claim({ version: 2, prev: uuid(1), id: uuid(60) }))],
    { voids: [at(1)] },
  ),
  kitCase(
    'a void may cover a control batch',
    [wins(one), { ...blank('missing', 1, 'void'), blank: 'control' }, wins(two)],
    {
      voids: [at(1)],
    },
  ),
  kitCase(
    'a record of a foreign producer that is void loses as void',
    [loses({ key: 'k', headers: [], value: album }, 'void'), wins(one)],
    { voids: [at(0)] },
  ),
];
