import { readFileSync } from 'node:fs';
import avro from 'avsc';
import type { AnyEvent, PositionVoided } from './events.ts';
import { TimestampMillis } from './timestamps.ts';
import { type Upcasters, upcasters } from './upcasters.ts';

/** A line of `schemas/lock.json`. Ids never change, and each belongs to one version of one subject. */
export interface SchemaVersion {
  readonly id: number;
  /** The schema's full record name, which is also the record header `ce_type`. */
  readonly subject: string;
  readonly version: number;
}

export interface Schema extends SchemaVersion {
  readonly avro: avro.Type;
}

/** A schema with its definition as it is in the file, documentation included. */
export interface StoredSchema extends Schema {
  readonly definition: avro.Schema;
}

/** Reads and writes values: every schema version, and the upcasters from each version to the next. */
export interface SchemaRegistry {
  readonly byId: ReadonlyMap<number, Schema>;
  readonly newest: ReadonlyMap<string, Schema>;
  readonly upcasters: Upcasters;
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
export const releasedSchemas: readonly StoredSchema[] = schemaVersions.map(load);
const released = createRegistry(releasedSchemas, upcasters);

function load(line: SchemaVersion): StoredSchema {
  const file = new URL(`${typeOf(line.subject)}.v${line.version}.avsc`, folder);
  const definition = JSON.parse(readFileSync(file, 'utf8')) as avro.Schema;
  const type = avro.Type.forSchema(definition, { logicalTypes });
  if (type.name !== line.subject)
    throw new Error(`${file.pathname} has the schema ${String(type.name)}; schemas/lock.json expects ${line.subject}.`);
  return { ...line, definition, avro: type };
}

/** The schemas may come in any order. */
export function createRegistry(schemas: readonly Schema[], upcasters: Upcasters): SchemaRegistry {
  const ascending = schemas.toSorted((one, other) => one.version - other.version);
  return {
    byId: new Map(schemas.map((schema) => [schema.id, schema])),
    newest: new Map(ascending.map((schema) => [schema.subject, schema])),
    upcasters,
  };
}

/** A value in the Confluent wire format: 0x00, schema id (4 bytes, big endian), Avro. Written with the newest schema. */
export function encodeEvent(event: AnyEvent | PositionVoided, { newest } = released): Buffer {
  const schema = newest.get(subjectOf(event.type));
  if (!schema)
    throw new Error(`There is no schema for ${event.type}. Add one with: npm run schemas -- add ${event.type}`);
  return frame(schema, schema.avro.toBuffer(event));
}

/** The payload in the frame of the given schema version; only tests and golden bytes need old versions. */
export function encodeVersion(subject: string, version: number, payload: unknown, { byId } = released): Buffer {
  const schema = [...byId.values()].find((each) => each.subject === subject && each.version === version);
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
 * The event in its newest version, upcast from the version in which it was written. Throws with the reason when the value is
 * not of the type `ce_type`. The value's checksum must be verified before, because avsc can end the process on corrupt lengths.
 */
export function decodeEvent(subject: string, value: Buffer, registry = released): AnyEvent {
  if (value.length < FRAME || value.readUInt8(0) !== MAGIC) throw new Error('the value is not in the Confluent frame');
  const id = value.readUInt32BE(1);
  const schema = registry.byId.get(id);
  if (!schema) throw new Error(`schema id ${id} is unknown`);
  if (schema.subject !== subject) throw new Error(`the value is ${schema.subject}, ce_type says ${subject}`);
  const payload: unknown = schema.avro.fromBuffer(value.subarray(FRAME));
  return Object.assign({ type: typeOf(subject) }, upcast(schema, payload, registry)) as AnyEvent;
}

function upcast({ subject, version }: Schema, payload: unknown, { newest, upcasters }: SchemaRegistry): object {
  let current = payload as object;
  const last = newest.get(subject)?.version ?? version;
  for (let from = version; from < last; from++) {
    const step = upcasters[subject]?.[from];
    if (!step) throw new Error(`there is no upcaster for ${subject} version ${from}`);
    current = step(current);
  }
  return current;
}
