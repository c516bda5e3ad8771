import { readFileSync } from 'node:fs';
import avro from 'avsc';
import type { AnyEvent } from './events.ts';
import { TimestampMillis } from './timestamps.ts';
import { upcasters } from './upcasters.ts';
import type { PositionVoided } from './voids.ts';

/** A line of `schemas/lock.json`: ids are for ever, and each belongs to one version of one subject. */
export interface SchemaVersion {
  readonly id: number;
  /** The schema's full record name, which is also the record header `ce_type`. */
  readonly subject: string;
  readonly version: number;
}

interface Schema extends SchemaVersion {
  readonly avro: avro.Type;
}

const MAGIC = 0;
const FRAME = 5;
const NAMESPACE = 'openmusic';
const folder = new URL('../../schemas/', import.meta.url);
const logicalTypes = { 'timestamp-millis': TimestampMillis };

/** The header `ce_type` of an event type. */
export const subjectOf = (type: string): string => `${NAMESPACE}.${type}`;

/** The event type of a header `ce_type`. */
export const typeOf = (subject: string): string => subject.slice(NAMESPACE.length + 1);

export const schemaVersions = JSON.parse(readFileSync(new URL('lock.json', folder), 'utf8')) as SchemaVersion[];
const schemas = schemaVersions.map(load);
const byId = new Map(schemas.map((schema) => [schema.id, schema]));
const newest = new Map(schemas.toSorted((a, b) => a.version - b.version).map((schema) => [schema.subject, schema]));

function load(line: SchemaVersion): Schema {
  const file = new URL(`${typeOf(line.subject)}.v${line.version}.avsc`, folder);
  const type = avro.Type.forSchema(JSON.parse(readFileSync(file, 'utf8')) as avro.Schema, { logicalTypes });
  if (type.name !== line.subject) throw new Error(`${file.pathname} holds ${String(type.name)}, not ${line.subject}.`);
  return { ...line, avro: type };
}

/** A value in the Confluent wire format: 0x00, schema id (4 bytes, big endian), Avro. Written with the newest schema. */
export function encodeEvent(event: AnyEvent | PositionVoided): Buffer {
  const schema = newest.get(subjectOf(event.type));
  if (!schema) throw new Error(`There is no schema for ${event.type}.`);
  return frame(schema, schema.avro.toBuffer(event));
}

/** Any version's payload, framed; only what writes golden bytes needs an old one. */
export function encodeVersion(subject: string, version: number, payload: unknown): Buffer {
  const schema = schemas.find((each) => each.subject === subject && each.version === version);
  if (!schema) throw new Error(`There is no ${subject} version ${version}.`);
  return frame(schema, schema.avro.toBuffer(payload));
}

function frame(schema: Schema, payload: Buffer): Buffer {
  const value = Buffer.allocUnsafe(FRAME + payload.length);
  value.writeUInt8(MAGIC, 0);
  value.writeUInt32BE(schema.id, 1);
  payload.copy(value, FRAME);
  return value;
}

/**
 * The event in its newest form, whatever version it was written in. Throws with the reason when the value is not what
 * `ce_type` says. The value's checksum must have been verified: avsc can end the process on corrupt lengths.
 */
export function decodeEvent(subject: string, value: Buffer): AnyEvent {
  if (value.length < FRAME || value.readUInt8(0) !== MAGIC) throw new Error('the value is not in the Confluent frame');
  const id = value.readUInt32BE(1);
  const schema = byId.get(id);
  if (!schema) throw new Error(`schema id ${id} is unknown`);
  if (schema.subject !== subject) throw new Error(`the value is ${schema.subject}, ce_type says ${subject}`);
  const payload: unknown = schema.avro.fromBuffer(value.subarray(FRAME));
  return Object.assign({ type: typeOf(subject) }, upcast(schema, payload)) as AnyEvent;
}

function upcast({ subject, version }: SchemaVersion, payload: unknown): object {
  let current = payload as object;
  const last = newest.get(subject)?.version ?? version;
  for (let from = version; from < last; from++) {
    const step = upcasters[subject]?.[from];
    if (!step) throw new Error(`there is no upcaster for ${subject} version ${from}`);
    current = step(current);
  }
  return current;
}
