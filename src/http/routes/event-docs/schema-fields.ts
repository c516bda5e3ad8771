import type { StoredSchema } from '../../../events/codec.ts';

/** The parts of Avro's schemas that are used. */
export type AvroSchema = string | AvroDefinition | readonly AvroSchema[];
export interface AvroDefinition {
  readonly type: AvroSchema;
  readonly name?: string;
  readonly doc?: string;
  readonly logicalType?: string;
  readonly items?: AvroSchema;
  readonly fields?: readonly (AvroDefinition & { readonly name: string })[];
}

/** The definition of an event: a record with its documentation. */
export const definitionOf = ({ definition }: StoredSchema): AvroDefinition => definition as AvroDefinition;

export interface FieldRow {
  /** `entries[].songId`: the field of each entry. */
  readonly path: string;
  readonly type: string;
  /** Empty where the value has none. */
  readonly unit: string;
  readonly doc: string;
}

/** All fields of a record, those inside of others after them. */
export const fieldsOf = ({ fields = [] }: AvroDefinition, before = ''): FieldRow[] =>
  fields.flatMap(({ name, type, doc = '' }) => {
    const path = before + name;
    return [{ path, type: typeNameOf(type), unit: unitOf(type, doc), doc }, ...insideOf(type, path)];
  });

/** The fields of the records that a field contains. */
function insideOf(type: AvroSchema, path: string): FieldRow[] {
  if (typeof type === 'string') return [];
  if (isUnion(type)) return type.flatMap((branch) => insideOf(branch, path));
  if (type.items !== undefined) return insideOf(type.items, `${path}[]`);
  return fieldsOf(type, `${path}.`);
}

/** The name of a type for people. */
function typeNameOf(type: AvroSchema): string {
  if (typeof type === 'string') return type;
  if (isUnion(type)) return [...type.filter((branch) => branch !== 'null').map(typeNameOf), 'null'].join(' or ');
  if (type.items !== undefined) return `list of ${typeNameOf(type.items)}`;
  return type.logicalType === undefined ? (type.name ?? typeNameOf(type.type)) : 'time';
}

/** The documentation of a number says its unit. */
function unitOf(type: AvroSchema, doc: string): string {
  const name = typeNameOf(type);
  if (name.startsWith('time')) return 'ms since 1970, UTC';
  if (!/^(?:int|long)\b/.test(name)) return '';
  if (doc.startsWith('year') || doc.startsWith('its year')) return 'year';
  return /\bin (milliseconds|seconds|bytes)\b/.exec(doc)?.[1] ?? '';
}

export const isUnion = (type: AvroSchema): type is readonly AvroSchema[] => Array.isArray(type);
