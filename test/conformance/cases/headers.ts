import { partitionOf } from '../../../src/events/placement.ts';
import {
  claim,
  isCorrupt,
  kitCase,
  loses,
  type Making,
  type RawRecord,
  sealed,
  type Step,
  streamIn,
  unjudged,
  uuid,
  wins,
  withHeader,
} from '../kit.ts';

const one = claim();
const next = claim({ version: 2, prev: uuid(1) });

/** Invalid forms of a header, each with a correct checksum. */
const MALFORMED: Readonly<Record<string, readonly (string | null)[]>> = {
  ce_specversion: ['1', '1.0 ', '2.0', '', null],
  ce_id: ['', 'x', '00000000-0000-7000-8000-00000000000A', '00000000000070008000000000000001', `${uuid(1)}\n`],
  ce_source: ['', null],
  ce_type: ['', 'AlbumCreated', 'openmusic.', '.AlbumCreated', 'open-music.X', 'openmusic.1', 'openmusic.É', 'a..b'],
  ce_subject: ['', null, 'album-2'],
  ce_time: [
    '',
    '2026-11-22',
    '2026-11-22T21:06:18Z',
    '2026-11-22T21:06:18.353',
    '2026-11-22T21:06:18.353+00:00',
    '2026-11-22T21:06:18.3530Z',
    '2026-11-22t21:06:18.353z',
    '2026-02-29T21:06:18.353Z',
    '2026-13-01T21:06:18.353Z',
    '2026-11-22T24:00:00.000Z',
    '2026-06-30T23:59:60.000Z',
    '1969-12-31T23:59:59.999Z',
    '٢٠٢٦-11-22T21:06:18.353Z',
  ],
  ce_streamversion: ['', '0', '01', '-1', '+1', '1.0', ' 1', '1\n', '0x1', '2147483648', '١'],
  ce_prev: ['0', ' ', `${uuid(1)}${uuid(1)}`],
  ce_commandid: ['', 'x'],
  ce_actor: ['', null],
  ce_correlationid: [''],
  ce_causationid: [''],
  ce_bodyhash: ['a\0b'],
  'content-type': ['', 'application/json', 'application/avro; charset=utf-8', 'Application/Avro'],
};

const foreign = (making: Making, note: string): Step => loses(claim(making), 'foreign', note);
/** A stream id with this many bytes and half as many characters, which belongs to partition 2 of 6. */
function long(bytes: number): string {
  for (let n = 0; ; n++) {
    const stream = `album-${String(n).padStart(bytes % 2 === 0 ? 2 : 3, '0')}`;
    const filled = stream + 'é'.repeat((bytes - stream.length) / 2);
    if (partitionOf(filled, 6) === 2) return filled;
  }
}

const twice = (name: string): RawRecord => {
  const headers = one.headers.filter(([each]) => each !== 'ce_checksum');
  const again = headers.filter(([each]) => each === name);
  return { ...one, headers: [...headers, ...again] };
};

export const headers = [
  kitCase('a record without our checksum is foreign, with or without other headers', [
    loses({ key: null, headers: [], value: null }, 'foreign', 'nothing at all'),
    loses({ ...one, headers: one.headers.filter(([name]) => name !== 'ce_checksum') }, 'foreign'),
    loses(
      { ...one, headers: one.headers.map(([name, raw]) => [name.toUpperCase(), raw] as const) },
      'foreign',
      'names are compared byte by byte',
    ),
    wins(one),
  ]),
  kitCase('every header has to be there', [
    ...Object.keys(MALFORMED).map((name) => foreign({ headers: { [name]: undefined } }, `${name} is missing`)),
    wins(one),
  ]),
  kitCase('every header has to have its form', [
    ...Object.entries(MALFORMED).flatMap(([name, values]) =>
      values.map((value) => foreign({ headers: { [name]: value } }, `${name} is ${JSON.stringify(value)}`)),
    ),
    wins(one),
  ]),
  kitCase('a header that stands twice is malformed', [
    ...Object.keys(MALFORMED).map((name) => loses(sealed(twice(name)), 'foreign', `${name} stands twice`)),
    wins(one),
  ]),
  kitCase('key and subject are the same stream id, of 1 to 255 bytes and without control characters', [
    foreign({ stream: '', key: '' }, 'an empty one'),
    foreign({ stream: '', key: null, headers: { ce_subject: null } }, 'none'),
    foreign({ key: 'album-2' }, 'another key than the subject'),
    ...['album-\u0000', 'album-\u001f', 'album-\u007f', 'album-\u0085', 'album-\n'].map((stream) =>
      foreign({ stream }, `${JSON.stringify(stream)} holds a control character`),
    ),
    foreign({ stream: long(256) }, '256 bytes'),
    wins(claim({ stream: long(255) }), '255 bytes'),
    wins(one),
  ]),
  kitCase('forms at their edges', [
    wins(claim({ headers: { ce_prev: null, ce_bodyhash: null } }), 'a null value is empty, where empty is allowed'),
    wins(
      claim({
        version: 2,
        prev: uuid(1),
        headers: { ce_time: '1970-01-01T00:00:00.000Z', ce_source: '/other', ce_actor: ' ', ce_bodyhash: 'é\n' },
      }),
      'the first time that there is; any text',
    ),
    wins(
      claim({ version: 3, prev: uuid(2), headers: { ce_time: '2028-02-29T23:59:59.999Z' } }),
      'the 29th of February of a leap year',
    ),
  ]),
  kitCase('other headers mean nothing', [
    wins({ ...one, headers: [['traceparent', '00-1-2-01'], ...one.headers, ['tracestate', 'a=b'], ['x', null]] }),
    wins(
      { ...next, headers: [...next.headers.toReversed(), ['mirrored', Buffer.of(255)], ['mirrored', '2']] },
      'in another order, and one that stands twice',
    ),
  ]),
  ...(
    [
      ['in capitals', 'ABCDEF01-ABCDEF01'],
      ['too short', '1-1'],
      ['empty', ''],
      ['null', null],
      ['with a sum that is wrong', '00000000-00000000'],
      ['with something behind it', `${String(one.headers.at(-1)?.[1])}\n`],
    ] as const
  ).map(([what, checksum]) =>
    kitCase(`a checksum ${what} stops the partition`, [
      isCorrupt(withHeader(one, 'ce_checksum', checksum)),
      unjudged(one),
    ]),
  ),
  kitCase('a checksum that stands twice stops the partition', [
    wins(one),
    isCorrupt({ ...next, headers: [...next.headers, ...next.headers.slice(-1)] }),
    unjudged(next),
  ]),
  ...(
    [
      ['a header that was changed', withHeader(next, 'ce_actor', 'another')],
      ['a header that was taken away', { ...next, headers: next.headers.filter(([name]) => name !== 'ce_actor') }],
      ['a header that was doubled', { ...next, headers: [...next.headers, ['ce_actor', 'anonymous']] }],
      ['another key', { ...next, key: streamIn(2) }],
      ['no key', { ...next, key: null }],
      ['a malformed header that was changed', withHeader(next, 'ce_time', 'yesterday')],
      ['a subject that was changed', withHeader(next, 'ce_subject', streamIn(2))],
    ] as readonly (readonly [string, RawRecord])[]
  ).map(([what, record]) =>
    kitCase(`${what} under our checksum stops the partition`, [wins(one), isCorrupt(record), unjudged(next)]),
  ),
  kitCase('bytes that are not UTF-8 are read as U+FFFD, and summed up as such', [
    wins(claim({ headers: { ce_actor: Buffer.from('61ff62', 'hex') } })),
    wins(claim({ version: 2, prev: uuid(1), headers: { ce_actor: Buffer.from('f09f98', 'hex') } }), 'cut short: one'),
    wins(
      claim({ version: 3, prev: uuid(2), headers: { ce_actor: Buffer.from('eda080', 'hex') } }),
      'a surrogate: three',
    ),
    loses(claim({ stream: streamIn(2), key: Buffer.concat([Buffer.from(streamIn(2)), Buffer.of(255)]) }), 'foreign'),
  ]),
];
