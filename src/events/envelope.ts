import { crc32 } from 'node:zlib';
import type { LogRecord } from './record.ts';

/** What a record says about itself in its headers: CloudEvents 1.0 binary mode and our extensions. */
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
  /** Id of the request that began it all. */
  readonly correlationId: string;
  /** Id of the command or record that led to this one. */
  readonly causationId: string;
  /** Keyed hash of the request's body when the request had an idempotency key, else empty. */
  readonly bodyHash: string;
}

const SOURCE = '/openmusic';
const CHECKSUM = 'ce_checksum';
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const VERSION = /^[1-9][0-9]{0,9}$/;
const LAST_VERSION = 2 ** 31 - 1;
const CHECKSUM_FORM = /^[0-9a-f]{8}-[0-9a-f]{8}$/;
const CONTROL = /\p{Cc}/u;

/** The record of an envelope and a payload that is encoded already. */
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
 * - `foreign`: not a record of ours, or not one that any version of ours would write: a loser;
 * - `corrupt`: it carries our checksum and its key or a header is not what was written.
 */
export type Reading =
  | { readonly kind: 'ours'; readonly envelope: Envelope }
  | { readonly kind: 'foreign'; readonly reason: string }
  | { readonly kind: 'corrupt'; readonly reason: string };

/** Reads key and headers only; the value is not looked at. */
export function readEnvelope({ key, headers }: LogRecord): Reading {
  const checksum = headers[CHECKSUM];
  if (checksum === undefined) return { kind: 'foreign', reason: `header ${CHECKSUM} is missing` };
  const found = headerChecksum(key, headers);
  if (!CHECKSUM_FORM.test(checksum) || checksum.slice(9) !== found) {
    return { kind: 'corrupt', reason: `key and headers sum up to ${found}, ${CHECKSUM} is ${checksum}` };
  }
  return parse(key, headers);
}

function parse(key: string, headers: LogRecord['headers']): Reading {
  const envelope: Envelope = {
    id: headers.ce_id ?? '',
    type: headers.ce_type ?? '',
    stream: headers.ce_subject ?? '',
    time: headers.ce_time ?? '',
    version: VERSION.test(headers.ce_streamversion ?? '') ? Number(headers.ce_streamversion) : 0,
    prev: headers.ce_prev ?? '-',
    commandId: headers.ce_commandid ?? '',
    actor: headers.ce_actor ?? '',
    correlationId: headers.ce_correlationid ?? '',
    causationId: headers.ce_causationid ?? '',
    bodyHash: headers.ce_bodyhash ?? '',
  };
  const wrong = firstWrongHeader(key, headers, envelope);
  return wrong ? { kind: 'foreign', reason: `header ${wrong} is missing or malformed` } : { kind: 'ours', envelope };
}

function firstWrongHeader(key: string, headers: LogRecord['headers'], envelope: Envelope): string | undefined {
  const { id, type, stream, time, version, prev, commandId, actor, correlationId, causationId } = envelope;
  if (headers.ce_specversion !== '1.0') return 'ce_specversion';
  if (!headers.ce_source) return 'ce_source';
  if (headers['content-type'] !== 'application/avro') return 'content-type';
  if (!UUID.test(id)) return 'ce_id';
  if (!type) return 'ce_type';
  if (stream !== key || !stream || CONTROL.test(stream)) return 'ce_subject';
  if (!time || Number.isNaN(Date.parse(time))) return 'ce_time';
  if (version < 1 || version > LAST_VERSION) return 'ce_streamversion';
  if (prev !== '' && !UUID.test(prev)) return 'ce_prev';
  if (!UUID.test(commandId)) return 'ce_commandid';
  if (!actor) return 'ce_actor';
  if (!correlationId) return 'ce_correlationid';
  if (!causationId) return 'ce_causationid';
  if (headers.ce_bodyhash === undefined) return 'ce_bodyhash';
  return Object.values(headers).some((value) => value.includes('\0')) ? 'with NUL' : undefined;
}

/** Whether the value's bytes are those that were written. Checked before Avro sees a byte of them. */
export function valueIsIntact({ value, headers }: LogRecord): boolean {
  return headers[CHECKSUM]?.slice(0, 8) === hex(crc32(value));
}

/** crc32 of the key and then of all other headers sorted by name, each `name\0value\0`. */
function headerChecksum(key: string, headers: LogRecord['headers']): string {
  let text = key;
  for (const name of Object.keys(headers).sort()) {
    if (name !== CHECKSUM) text += `${name}\0${headers[name] ?? ''}\0`;
  }
  return hex(crc32(text));
}

/** Tells one record from another at the same offset, whoever wrote it: crc32 of value, key and every header. */
export function fingerprint({ key, value, headers }: LogRecord): string {
  return `${hex(crc32(value))}-${headerChecksum(key, headers)}-${headers[CHECKSUM] ?? ''}`;
}

const hex = (crc: number): string => crc.toString(16).padStart(8, '0');
