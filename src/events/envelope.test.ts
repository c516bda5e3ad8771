import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../../test/support/characters.ts';
import { golden } from '../../test/support/golden.ts';
import { type Envelope, fingerprint, ownHeaders, readEnvelope, toRecord, valueIsIntact } from './envelope.ts';
import type { LogRecord } from './record.ts';

const { envelope, key, headers } = golden.record;
const value = Buffer.from(golden.record.value, 'hex');
const record = toRecord(envelope, value);

describe('the golden record', () => {
  it('is always written with the same key, headers and checksum', () => {
    expect(record).toEqual({ key, value, headers });
    expect(Object.keys(record.headers)).toEqual(Object.keys(headers));
  });

  it('is read', () => {
    expect(readEnvelope({ key, value, headers })).toEqual({ kind: 'ours', envelope });
    expect(valueIsIntact({ key, value, headers })).toBe(true);
  });

  it('is read in any order of its headers', () => {
    const reversed = Object.fromEntries(Object.entries(record.headers).reverse());
    expect(readEnvelope({ ...record, headers: reversed })).toEqual({ kind: 'ours', envelope });
  });
});

describe('an envelope', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1 }).filter((each) => !each.includes('\0'));
  const uuid = fc.uuid();
  const anyEnvelope: fc.Arbitrary<Envelope> = fc.record({
    id: uuid,
    type: fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,9}(\.[A-Za-z_][A-Za-z0-9_]{0,9}){1,3}$/),
    stream: text.filter((each) => !/\p{Cc}/u.test(each) && Buffer.byteLength(each) <= 255),
    time: fc
      .date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z') })
      .map((date) => date.toISOString()),
    version: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    prev: fc.oneof(fc.constant(''), uuid),
    commandId: uuid,
    actor: text,
    correlationId: text,
    causationId: text,
    bodyHash: fc.oneof(fc.constant(''), text),
  });
  const anyRecord = fc
    .tuple(anyEnvelope, fc.uint8Array({ maxLength: 50 }))
    .map(([each, bytes]) => toRecord(each, Buffer.from(bytes)));

  it('is read as it was written', () => {
    fc.assert(
      fc.property(anyEnvelope, (each) => {
        expect(readEnvelope(toRecord(each, value))).toEqual({ kind: 'ours', envelope: each });
      }),
    );
  });

  it('detects any flipped bit of key, header names, header values and value', () => {
    fc.assert(
      fc.property(anyRecord, fc.nat(), fc.nat(), (each, part, bit) => {
        const flipped = flip(each, part, bit);
        expect(isUntouched(flipped)).toBe(false);
        expect(fingerprint(flipped)).not.toBe(fingerprint(each));
      }),
      { numRuns: 1_000 },
    );
  });

  it('keeps its checksum and fingerprint when other software adds headers', () => {
    const name = fc.string({ minLength: 1 }).filter((each) => !(each in headers));
    fc.assert(
      fc.property(anyRecord, fc.dictionary(name, fc.string({ unit: anyCharacter })), (each, others) => {
        const carried = { ...each, headers: { ...others, ...each.headers } };
        expect(readEnvelope(carried)).toEqual(readEnvelope(each));
        expect(fingerprint(carried)).toBe(fingerprint(each));
        expect(ownHeaders(carried.headers)).toEqual(each.headers);
      }),
    );
  });

  it('detects every flipped bit of the golden record', () => {
    let unnoticed = 0;
    for (let part = 0; part < partsOf(record).length; part++) {
      for (let bit = 0; bit < partsOf(record)[part]!.length * 8; bit++) {
        if (isUntouched(flip(record, part, bit))) unnoticed++;
      }
    }
    expect(unnoticed).toBe(0);
  });
});

describe('a foreign record', () => {
  it.each(Object.keys(headers))('is one without %s', (name) => {
    const others = Object.fromEntries(Object.entries(record.headers).filter(([each]) => each !== name));
    const reading = readEnvelope({ ...record, headers: others });
    expect(reading.kind).toBe(name === 'ce_checksum' ? 'foreign' : 'corrupt');
  });

  it('is one without our checksum', () => {
    expect(readEnvelope({ key: 'a', value, headers: {} }).kind).toBe('foreign');
  });

  it.each<[string, Partial<Envelope>]>([
    ['ce_id', { id: 'not-a-uuid' }],
    ['ce_type', { type: '' }],
    ['ce_type', { type: 'AlbumCreated' }],
    ['ce_type', { type: 'openmusic.Album Created' }],
    ['ce_type', { type: 'openmusic.AlbumCreated\n' }],
    ['ce_subject', { stream: '' }],
    ['ce_subject', { stream: 'album-\u0007' }],
    ['ce_subject', { stream: `album-${'x'.repeat(250)}` }],
    ['ce_subject', { stream: `album-${'ж'.repeat(125)}` }],
    ...['yesterday', '2026-01-02', '2026-01-02T03:04:05Z', '2026-01-02T03:04:05.678+00:00', '1969-12-31T23:59:59.999Z']
      .concat(
        '2026-02-30T03:04:05.678Z',
        '2026-01-02T24:00:00.000Z',
        '2026-01-02T03:04:60.000Z',
        '+012026-01-02T03:04:05.678Z',
      )
      .map((time): [string, Partial<Envelope>] => ['ce_time', { time }]),
    ['ce_streamversion', { version: 0 }],
    ['ce_streamversion', { version: 1.5 }],
    ['ce_streamversion', { version: 2 ** 31 }],
    ['ce_prev', { prev: 'head' }],
    ['ce_commandid', { commandId: '' }],
    ['ce_actor', { actor: '' }],
    ['ce_correlationid', { correlationId: '' }],
    ['ce_causationid', { causationId: '' }],
    ['ce_actor', { actor: 'a\0b' }],
    ['ce_bodyhash', { bodyHash: '\0' }],
    ['ce_id', { id: '0198F5F4-3C4B-7A31-8A41-1F2F3A4B5C6D' }],
  ])('is one whose %s is malformed, though its checksum is right', (name, change) => {
    const malformed = toRecord({ ...envelope, ...change }, value);
    expect(readEnvelope(malformed)).toEqual({ kind: 'foreign', reason: `header ${name} is missing or malformed` });
  });
});

type Change = (text: Buffer) => LogRecord;

/** Every piece of a record's bytes, and how the record looks with that piece changed, read as a log's client reads it. */
function piecesOf(of: LogRecord): [Buffer, Change][] {
  const entries = Object.entries(of.headers);
  const withEntry = (index: number, entry: [string, string]) =>
    ({ ...of, headers: Object.fromEntries(entries.with(index, entry)) }) satisfies LogRecord;
  const pieces: [Buffer, Change][] = [
    [Buffer.from(of.key), (bytes) => ({ ...of, key: bytes.toString() })],
    [of.value, (bytes) => ({ ...of, value: bytes })],
    ...entries.flatMap(([name, text], index): [Buffer, Change][] => [
      [Buffer.from(name), (bytes) => withEntry(index, [bytes.toString(), text])],
      [Buffer.from(text), (bytes) => withEntry(index, [name, bytes.toString()])],
    ]),
  ];
  return pieces.filter(([bytes]) => bytes.length > 0);
}

const partsOf = (of: LogRecord) => piecesOf(of).map(([bytes]) => bytes);

function flip(of: LogRecord, part: number, bit: number): LogRecord {
  const pieces = piecesOf(of);
  const [bytes, change] = pieces[part % pieces.length]!;
  const flipped = Buffer.from(bytes);
  flipped[(bit >> 3) % bytes.length]! ^= 1 << (bit & 7);
  return change(flipped);
}

const isUntouched = (each: LogRecord) => readEnvelope(each).kind === 'ours' && valueIsIntact(each);
