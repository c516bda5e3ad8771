/** What the examples need of an Avro schema. */
export type AvroSchema = string | readonly AvroSchema[] | ComplexSchema;
interface ComplexSchema {
  readonly type: AvroSchema;
  readonly logicalType?: string;
  readonly items?: AvroSchema;
  readonly fields?: readonly { readonly name: string; readonly type: AvroSchema }[];
}

const HEX = '0198f5f43c4b7a318a411f2f3a4b5c6d';
const TIME = '2026-01-02T03:04:05.678Z';

/** An example value of the schema, the same at every call. `name` is that of the field, by which ids look like ids. */
export function sampleOf(schema: AvroSchema, name = ''): unknown {
  if (typeof schema === 'string') return primitiveOf(schema, name);
  if (isUnion(schema)) return sampleOf(schema.find((branch) => branch !== 'null') ?? 'null', name);
  if (schema.logicalType === 'timestamp-millis') return TIME;
  if (schema.items !== undefined) return [sampleOf(schema.items, name)];
  if (schema.fields) {
    return Object.fromEntries(schema.fields.map((field) => [field.name, sampleOf(field.type, field.name)]));
  }
  return sampleOf(schema.type, name);
}

const isUnion = (schema: AvroSchema): schema is readonly AvroSchema[] => Array.isArray(schema);

function primitiveOf(type: string, name: string): unknown {
  switch (type) {
    case 'string':
      return name.endsWith('Id') ? `${name.slice(0, -2)}-${HEX}` : `a ${name}`;
    case 'boolean':
      return true;
    case 'int':
    case 'long':
      return 1;
    case 'float':
    case 'double':
      return 1.5;
    case 'null':
      return null;
    default:
      throw new Error(`There is no example of ${type}. Use other Avro types, or extend test/schemas/sample.ts.`);
  }
}
