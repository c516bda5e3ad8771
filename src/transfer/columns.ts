import avro from 'avsc';
import { releasedSchemas } from '../events/codec.ts';
import type { DecodedEvent } from './log-reading.ts';

type Cell = string | number | null;

export interface EnvelopeColumn {
  readonly name: string;
  readonly type: 'STRING' | 'INT32' | 'INT64' | 'TIMESTAMP';
  readonly value: (event: DecodedEvent) => Cell;
}

/** The columns of the envelope, under the names that they have in CloudEvents JSON. Times are ISO 8601 text. */
export const ENVELOPE_COLUMNS: readonly EnvelopeColumn[] = [
  { name: 'sourcetopic', type: 'STRING', value: ({ record }) => record.topic },
  { name: 'sourcepartition', type: 'INT32', value: ({ record }) => record.partition },
  { name: 'sourceoffset', type: 'INT64', value: ({ record }) => record.offset },
  { name: 'id', type: 'STRING', value: ({ envelope }) => envelope.id },
  { name: 'type', type: 'STRING', value: ({ envelope }) => envelope.type },
  { name: 'subject', type: 'STRING', value: ({ envelope }) => envelope.stream },
  { name: 'streamversion', type: 'INT32', value: ({ envelope }) => envelope.version },
  { name: 'time', type: 'TIMESTAMP', value: ({ envelope }) => envelope.time },
  { name: 'commandid', type: 'STRING', value: ({ envelope }) => envelope.commandId },
  { name: 'actor', type: 'STRING', value: ({ envelope }) => envelope.actor },
  { name: 'correlationid', type: 'STRING', value: ({ envelope }) => envelope.correlationId },
  { name: 'causationid', type: 'STRING', value: ({ envelope }) => envelope.causationId },
];

/** The payload without the type, which is a column of its own; null when it cannot be decoded. */
export const dataOf = ({ payload }: DecodedEvent): object | null =>
  'event' in payload ? Object.fromEntries(Object.entries(payload.event).filter(([name]) => name !== 'type')) : null;

/**
 * The fields of the newest schemas of these types, each as its path of names, in the order in which they first occur. Fields of a
 * record are fields of their own; a list is one field.
 */
export function dataPaths(types: readonly string[]): string[][] {
  const ascending = releasedSchemas.toSorted((one, other) => one.version - other.version);
  const newest = new Map(ascending.map((schema) => [schema.subject, schema.avro]));
  const paths = types.flatMap((type) => pathsIn(newest.get(type)) ?? []);
  return [...new Map(paths.map((path) => [path.join('.'), path])).values()];
}

/** Undefined for a type that is no record, nor a record or null. */
function pathsIn(type: avro.Type | undefined): string[][] | undefined {
  if (type instanceof avro.types.UnwrappedUnionType)
    return type.types.map(pathsIn).find((paths) => paths !== undefined);
  if (!(type instanceof avro.types.RecordType)) return undefined;
  return type.fields.flatMap(({ name, type: inner }) => pathsIn(inner)?.map((path) => [name, ...path]) ?? [[name]]);
}

/** The value at a path of the payload; undefined where the event has no such field. */
export const valueAt = (data: object | null, path: readonly string[]): unknown =>
  path.reduce<unknown>(
    (value, name) =>
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined,
    data,
  );
