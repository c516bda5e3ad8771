import { crc32 } from 'node:zlib';
import { decodeEvent, encodeEvent, subjectOf } from '../../src/events/codec.ts';
import type { AnyEvent } from '../../src/events/events.ts';
import { partitionOf } from '../../src/events/placement.ts';
import type { TopicPartition } from '../../src/events/record.ts';
import type { PositionVoided } from '../../src/events/events.ts';
import { voidRecord } from '../../src/events/voids.ts';

/** Bytes in the kit's files: text where they are UTF-8. */
export type Bytes = string | { readonly base64: string } | null;

/** A record, or an empty range of offsets. Offsets that are not listed are missing. */
export interface KitEntry {
  readonly offset: number;
  readonly lastOffset?: number;
  readonly blank?: 'control' | 'unreadable';
  readonly key?: Bytes;
  readonly headers?: readonly (readonly [name: string, value: Bytes])[];
  readonly value?: { readonly base64: string } | null;
}

/** `undecodable`: the record is accepted, and a reader cannot use its value. */
export interface KitVerdict {
  readonly offset: number;
  readonly lastOffset?: number;
  readonly note?: string;
  readonly verdict: 'accepted' | 'loser' | 'stop';
  readonly reason?: 'void' | 'control' | 'foreign' | 'lost' | 'corrupt' | 'unreadable' | 'missing';
  readonly payload?: object;
  readonly undecodable?: 'checksum' | 'frame' | 'schema' | 'type' | 'avro';
}

export interface KitCase extends TopicPartition {
  readonly name: string;
  readonly partitions: number;
  readonly incarnation: string;
  /** Values of the topic of voids, in order. */
  readonly voids: readonly ({ readonly base64: string } | null)[];
  readonly entries: readonly KitEntry[];
  /** A verdict for every offset in order; the list ends with a stop if there is one. */
  readonly judgement: readonly KitVerdict[];
  /** Whether the first record opens this partition for a reader of this rule. */
  readonly opens?: boolean;
}

export const INCARNATION = '1b4e28ba-2fa1-41d2-883f-0016d3cca427';
const PLACE = { topic: 'openmusic.catalog', partition: 2, partitions: 6 };

type Raw = string | Buffer | null;
export interface RawRecord {
  readonly key: Raw;
  readonly headers: readonly (readonly [string, Raw])[];
  readonly value: Buffer | null;
}

export interface Making {
  readonly stream?: string;
  readonly version?: number;
  readonly prev?: string;
  readonly id?: string;
  readonly event?: AnyEvent;
  readonly value?: Buffer | null;
  readonly key?: Raw;
  /** Header values that replace the defaults before the checksum is computed. Undefined removes a header. */
  readonly headers?: Readonly<Record<string, Raw | undefined>>;
}

export const uuid = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;

/** The nth stream of a category that belongs to a partition of six. */
export function streamIn(nth: number, partition = PLACE.partition, category = 'album'): string {
  for (let n = 1, found = 0; ; n++) {
    const stream = `${category}-${n}`;
    if (partitionOf(stream, PLACE.partitions) === partition && ++found === nth) return stream;
  }
}

/** A valid record, whose checksum covers what is given. */
export function claim(making: Making = {}): RawRecord {
  const { stream = streamIn(1), version = 1, prev = '', id = uuid(version) } = making;
  const { event = { type: 'AlbumCreated', albumId: stream, name: 'Parachutes', year: 2000 } } = making;
  const value = making.value === undefined ? encodeEvent(event) : making.value;
  const own: Record<string, Raw | undefined> = {
    ce_specversion: '1.0',
    ce_id: id,
    ce_source: '/openmusic',
    ce_type: subjectOf(event.type),
    ce_subject: stream,
    ce_time: '2026-11-22T21:06:18.353Z',
    ce_streamversion: String(version),
    ce_prev: prev,
    ce_commandid: uuid(900),
    ce_actor: 'anonymous',
    ce_correlationid: 'r',
    ce_causationid: uuid(900),
    ce_bodyhash: '',
    'content-type': 'application/avro',
    ...making.headers,
  };
  const headers = Object.entries(own).flatMap(([name, raw]) => (raw === undefined ? [] : [[name, raw] as const]));
  return sealed({ key: making.key === undefined ? stream : making.key, headers, value });
}

const OURS =
  `specversion id source type subject time streamversion prev commandid actor correlationid causationid bodyhash`
    .split(' ')
    .map((name) => `ce_${name}`)
    .concat('content-type')
    .sort();

/** Computes the checksum from the description in docs/reference/log-format.md alone. */
export function sealed({ key, headers, value }: RawRecord): RawRecord {
  const parts = OURS.flatMap((name) => {
    const values = headers.filter(([each]) => each === name).map(([, raw]) => textOf(raw));
    return values.length === 0 ? [] : [`${name}\0${values.join('\0')}\0`];
  });
  const checksum = `${hex(crc32(value ?? Buffer.alloc(0)))}-${hex(crc32([textOf(key), ...parts].join('')))}`;
  return { key, value, headers: [...headers, ['ce_checksum', checksum]] };
}

const textOf = (raw: Raw): string => (raw ?? '').toString();
const hex = (crc: number): string => crc.toString(16).padStart(8, '0');

/** The record with another header value, with its old checksum. */
export const withHeader = (record: RawRecord, name: string, raw: Raw): RawRecord => ({
  ...record,
  headers: record.headers.map((each) => (each[0] === name ? ([name, raw] as const) : each)),
});

/** A chain of versions of one stream. */
export function chain(count: number, stream = streamIn(1)): RawRecord[] {
  return Array.from({ length: count }, (_, index) =>
    claim({ stream, version: index + 1, prev: index === 0 ? '' : uuid(index) }),
  );
}

type Said = Omit<KitVerdict, 'offset' | 'lastOffset'>;
export interface Step {
  readonly record?: RawRecord;
  readonly blank?: 'control' | 'unreadable' | 'missing';
  readonly count: number;
  /** Undefined for everything behind a stop. */
  readonly said?: Said;
}

/** Accepted, with the payload of its value. */
export const wins = (record: RawRecord, note?: string): Step => {
  const type = record.headers.find(([name]) => name === 'ce_type')?.[1];
  const payload = without('type', decodeEvent(textOf(type ?? null), record.value ?? Buffer.alloc(0)));
  return { record, count: 1, said: { ...noted(note), verdict: 'accepted', payload } };
};
export const winsUndecodable = (
  record: RawRecord,
  undecodable: NonNullable<KitVerdict['undecodable']>,
  note?: string,
): Step => ({ record, count: 1, said: { ...noted(note), verdict: 'accepted', undecodable } });
export const loses = (record: RawRecord, reason: 'foreign' | 'lost' | 'void', note?: string): Step => ({
  record,
  count: 1,
  said: { ...noted(note), verdict: 'loser', reason },
});
export const isCorrupt = (record: RawRecord, note?: string): Step => ({
  record,
  count: 1,
  said: { ...noted(note), verdict: 'stop', reason: 'corrupt' },
});
export const unjudged = (record: RawRecord): Step => ({ record, count: 1 });
export const marker = (count = 1): Step => ({
  blank: 'control',
  count,
  said: { verdict: 'loser', reason: 'control' },
});
export const blank = (kind: 'unreadable' | 'missing', count: number, end: 'void' | 'stop', note?: string): Step => ({
  blank: kind,
  count,
  said: {
    ...noted(note),
    ...(end === 'stop' ? { verdict: 'stop', reason: kind } : { verdict: 'loser', reason: 'void' }),
  },
});

export const without = (name: string, from: object): object =>
  Object.fromEntries(Object.entries(from).filter(([each]) => each !== name));

const noted = (note: string | undefined) => (note === undefined ? {} : { note });

export interface CaseOptions extends Partial<Omit<KitCase, 'name' | 'entries' | 'judgement' | 'voids'>> {
  readonly voids?: readonly (Partial<PositionVoided> | Buffer | null)[];
}

/** A case whose steps are at consecutive offsets, from 0. */
export function kitCase(name: string, steps: readonly Step[], { voids = [], ...options }: CaseOptions = {}): KitCase {
  const where = { ...PLACE, incarnation: INCARNATION, ...options };
  let offset = 0;
  const entries: KitEntry[] = [];
  const judgement: KitVerdict[] = [];
  for (const step of steps) {
    const span = step.count === 1 ? { offset } : { offset, lastOffset: offset + step.count - 1 };
    if (step.record) entries.push({ ...span, ...packed(step.record) });
    else if (step.blank !== 'missing') entries.push({ ...span, blank: step.blank });
    if (step.said) judgement.push({ ...span, ...step.said });
    offset += step.count;
  }
  return { name, ...where, voids: voids.map((each) => voidValue(each, where)), entries, judgement };
}

function voidValue(told: Partial<PositionVoided> | Buffer | null, { topic, partition }: TopicPartition) {
  if (told === null) return null;
  if (Buffer.isBuffer(told)) return base64(told);
  const { offset = 0, lastOffset = offset } = told;
  const at = '2026-11-22T21:06:18.353Z';
  const whole = {
    type: 'PositionVoided',
    incarnation: INCARNATION,
    topic,
    partition,
    reason: 'a disk lied',
    at,
  } as const;
  return base64(voidRecord({ ...whole, ...told, offset, lastOffset }).value);
}

const packed = ({ key, headers, value }: RawRecord) => ({
  key: bytesOf(key),
  headers: headers.map(([name, raw]) => [name, bytesOf(raw)] as const),
  value: value === null ? null : base64(value),
});

const base64 = (bytes: Buffer) => ({ base64: bytes.toString('base64') });
const bytesOf = (raw: Raw): Bytes => (Buffer.isBuffer(raw) ? base64(raw) : raw);
