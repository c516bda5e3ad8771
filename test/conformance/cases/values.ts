import { encodeEvent } from '../../../src/events/codec.ts';
import type { AnyEvent } from '../../../src/events/events.ts';
import { golden } from '../../support/golden.ts';
import { chain, claim, kitCase, type RawRecord, streamIn, uuid, wins, winsUndecodable } from '../kit.ts';

const [one = claim(), two = claim(), three = claim()] = chain(3);
const album = encodeEvent({ type: 'AlbumCreated', albumId: streamIn(1), name: 'Parachutes', year: 2000 });
const added = encodeEvent({ type: 'SongsAddedToPlaylist', playlistId: 'p', entries: [], rekeyed: [] });
const otherValue = (record: RawRecord, value: Buffer | null): RawRecord => ({ ...record, value });
const ofId = (id: number) => {
  const value = Buffer.from(album);
  value.writeUInt32BE(id, 1);
  return value;
};

const UNDECODABLE = [
  ['frame', 'null', null],
  ['frame', 'empty', Buffer.alloc(0)],
  ['frame', 'too short for a frame', album.subarray(0, 4)],
  ['frame', 'of another magic byte', Buffer.concat([Buffer.of(1), album.subarray(1)])],
  ['frame', 'JSON', Buffer.from('{"name":"Parachutes"}')],
  ['schema', 'of an unknown schema id', ofId(2 ** 31)],
  ['schema', 'of schema id 0', ofId(0)],
  [
    'type',
    'of another type than ce_type says',
    encodeEvent({ type: 'AlbumDeleted', albumId: 'a', name: 'b', year: 1 }),
  ],
  ['avro', 'a frame alone', album.subarray(0, 5)],
  ['avro', 'cut short', album.subarray(0, -1)],
  ['avro', 'too long', Buffer.concat([album, Buffer.of(0)])],
  ['avro', 'of a negative length', Buffer.concat([album.subarray(0, 5), Buffer.of(1), album.subarray(6)])],
  ['avro', 'of a length past its end', Buffer.concat([album.subarray(0, 5), Buffer.from('feffffff0f', 'hex')])],
] as const;

/** A payload of each schema, under one stream: the rule does not read payloads. */
const everyEvent = golden.schemas.map(({ subject, value }, index) =>
  claim({
    version: index + 1,
    prev: index === 0 ? '' : uuid(index),
    value: Buffer.from(value, 'hex'),
    headers: { ce_type: subject },
  }),
);

export const values = [
  kitCase(
    'a value of every schema',
    everyEvent.map((record) => wins(record)),
  ),
  ...UNDECODABLE.map(([undecodable, what, value]) =>
    kitCase(`an accepted value that is ${what} keeps its version`, [
      wins(one),
      winsUndecodable(claim({ version: 2, prev: uuid(1), value }), undecodable),
      wins(three),
    ]),
  ),
  kitCase('a value under the checksum of another one is accepted, and not to be decoded', [
    winsUndecodable(otherValue(one, added), 'checksum'),
    winsUndecodable(otherValue(two, null), 'checksum', 'as a tombstone of a stranger'),
    wins(three),
  ]),
  kitCase('a type that no schema has is accepted', [
    winsUndecodable(claim({ headers: { ce_type: 'openmusic.AlbumPraised' } }), 'type'),
    winsUndecodable(claim({ version: 2, prev: uuid(1), headers: { ce_type: 'com.example.Other' } }), 'type'),
    wins(three),
  ]),
  kitCase('texts of all kinds', [
    wins(claim({ event: named('Черный альбом 🎵') })),
    wins(claim({ version: 2, prev: uuid(1), event: named('') })),
    wins(claim({ version: 3, prev: uuid(2), event: named('"\\\n\t\u0000') }), 'NUL is a character like others'),
  ]),
];

function named(name: string): AnyEvent {
  return { type: 'AlbumCreated', albumId: streamIn(1), name, year: -1 };
}
