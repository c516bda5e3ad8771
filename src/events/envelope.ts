import { crc32 } from 'node:zlib';
import type { LogRecord } from './record.ts';

/** The headers of a record: CloudEvents 1.0 in binary mode, and our extensions. */
export interface Envelope {
  /** Record id: UUIDv7. A command that is appended again after a lost race gets a new one. */
  readonly id: string;
  /** Full name of the payload's schema, `openmusic.AlbumCreated`. */
  readonly type: string;
  readonly stream: string;
  /** ISO 8601, UTC. */
  readonly time: string;
  /** The version this record claims in its stream, from 1. */
  readonly version: number;
  /** Id of the stream's head it was decided on; empty for version 1. */
  readonly prev: string;
  readonly commandId: string;
  /** Account id, or `anonymous`, or `system`. */
  readonly actor: string;
  /** Id of the request that caused it. */
  readonly correlationId: string;
  /** Id of the command or record that led to this one. */
  readonly causationId: string;
  /** Keyed hash of the request's body when the request had an idempotency key, else empty. */
  readonly bodyHash: string;
}

const SOURCE = '/openmusic';
const CHECKSUM = 'ce_checksum';
const LAST_VERSION = 2 ** 31 - 1;
/** Far below the 2,704 bytes of an index entry of Postgres: a winner that no table takes would stop its partition. */
export const STREAM_BYTES = 255;

type Test = (value: string, key: string) => boolean;
const matches =
  (form: RegExp): Test =>
  (value) =>
    form.test(value);
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const isUuid = matches(new RegExp(`^${UUID}$`));
const isText = matches(/^[^\0]+$/);
const isStream: Test = (value, key) =>
  value === key && value !== '' && !/\p{Cc}/u.test(value) && Buffer.byteLength(value) <= STREAM_BYTES;

const TIME = /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;
const DAY_LENGTH = 10;
let knownDay = '';

/** An existing day and time from 1970 on, in the format of `Date.prototype.toISOString`. */
function isTime(value: string): boolean {
  const day = value.slice(0, DAY_LENGTH);
  return TIME.test(value) && (day === knownDay || isDay(day));
}

/** Remembers the day, because most records are of the same day as the one before: parsing it took 15 % of judging. */
function isDay(day: string): boolean {
  const ms = Date.parse(day);
  if (!(ms >= 0) || new Date(ms).toISOString().slice(0, DAY_LENGTH) !== day) return false;
  knownDay = day;
  return true;
}

/** The headers of a record with the form of each, in the order of writing. `docs/reference/log-format.md` has the grammar. */
const HEADERS: Readonly<Record<string, Test>> = {
  ce_specversion: matches(/^1\.0$/),
  ce_id: isUuid,
  ce_source: isText,
  ce_type: matches(/^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$/),
  ce_subject: isStream,
  ce_time: isTime,
  ce_streamversion: (value) => /^[1-9][0-9]{0,9}$/.test(value) && Number(value) <= LAST_VERSION,
  ce_prev: matches(new RegExp(`^(?:${UUID})?$`)),
  ce_commandid: isUuid,
  ce_actor: isText,
  ce_correlationid: isText,
  ce_causationid: isText,
  ce_bodyhash: matches(/^[^\0]*$/),
  'content-type': matches(/^application\/avro$/),
};
const NAMES = Object.keys(HEADERS);
const SORTED_NAMES = NAMES.toSorted();
const CHECKSUM_FORM = /^[0-9a-f]{8}-[0-9a-f]{8}$/;

/** The record of an envelope and an encoded payload. */
export function toRecord(envelope: Envelope, value: Buffer): LogRecord {
  const headers: Record<string, string> = {
    ce_specversion: '1.0',
    ce_id: envelope.id,
    ce_source: SOURCE,
    ce_type: envelope.type,
    ce_subject: envelope.stream,
    ce_time: envelope.time,
    ce_streamversion: String(envelope.version),
    ce_prev: envelope.prev,
    ce_commandid: envelope.commandId,
    ce_actor: envelope.actor,
    ce_correlationid: envelope.correlationId,
    ce_causationid: envelope.causationId,
    ce_bodyhash: envelope.bodyHash,
    'content-type': 'application/avro',
  };
  headers[CHECKSUM] = `${hex(crc32(value))}-${headerChecksum(envelope.stream, headers)}`;
  return { key: envelope.stream, value, headers };
}

/**
 * - `ours`: all headers are there and untouched;
 * - `foreign`: not a record that any version of OpenMusic writes: a loser;
 * - `corrupt`: it has our checksum, but its key or a header was changed.
 */
export type Reading =
  | { readonly kind: 'ours'; readonly envelope: Envelope }
  | { readonly kind: 'foreign'; readonly reason: string }
  | { readonly kind: 'corrupt'; readonly reason: string };

/** Reads only the key and our own headers, never the value. */
export function readEnvelope({ key, headers }: LogRecord): Reading {
  const checksum = headers[CHECKSUM];
  if (checksum === undefined) return { kind: 'foreign', reason: `header ${CHECKSUM} is missing` };
  const found = headerChecksum(key, headers);
  if (!CHECKSUM_FORM.test(checksum) || checksum.slice(9) !== found) {
    return { kind: 'corrupt', reason: `key and headers sum up to ${found}, ${CHECKSUM} is ${checksum}` };
  }
  const wrong = NAMES.find((name) => !isWellFormed(name, headers[name], key));
  if (wrong !== undefined) return { kind: 'foreign', reason: `header ${wrong} is missing or malformed` };
  return { kind: 'ours', envelope: parse(headers) };
}

const isWellFormed = (name: string, value: string | undefined, key: string): boolean =>
  value !== undefined && (HEADERS[name]?.(value, key) ?? false);

/** The envelope of well-formed headers. */
const parse = (headers: LogRecord['headers']): Envelope => ({
  id: headers.ce_id ?? '',
  type: headers.ce_type ?? '',
  stream: headers.ce_subject ?? '',
  time: headers.ce_time ?? '',
  version: Number(headers.ce_streamversion),
  prev: headers.ce_prev ?? '',
  commandId: headers.ce_commandid ?? '',
  actor: headers.ce_actor ?? '',
  correlationId: headers.ce_correlationid ?? '',
  causationId: headers.ce_causationid ?? '',
  bodyHash: headers.ce_bodyhash ?? '',
});

/** Whether the value's bytes are those that were written. Must be checked before Avro reads them. */
export function valueIsIntact({ value, headers }: LogRecord): boolean {
  return headers[CHECKSUM]?.slice(0, 8) === hex(crc32(value));
}

/** Our own headers of a record, without those that tracing or a mirror added. */
export function ownHeaders(headers: LogRecord['headers']): LogRecord['headers'] {
  return Object.fromEntries([...NAMES, CHECKSUM].map((name) => [name, headers[name] ?? '']));
}

/** crc32 of the key and then of our headers, without the checksum, sorted by name, each `name\0value\0`. */
function headerChecksum(key: string, headers: LogRecord['headers']): string {
  let text = key;
  for (const name of SORTED_NAMES) {
    const value = headers[name];
    if (value !== undefined) text += `${name}\0${value}\0`;
  }
  return hex(crc32(text));
}

/** Distinguishes records at the same offset: crc32 of value, key and our headers, and the checksum header. */
export function fingerprint({ key, value, headers }: LogRecord): string {
  return `${hex(crc32(value))}-${headerChecksum(key, headers)}-${headers[CHECKSUM] ?? ''}`;
}

const hex = (crc: number): string => crc.toString(16).padStart(8, '0');
