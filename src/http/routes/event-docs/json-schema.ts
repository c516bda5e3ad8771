import { type AvroDefinition, type AvroSchema, isUnion } from './schema-fields.ts';

type JsonSchema = Readonly<Record<string, unknown>>;

/** Records by their names: Avro defines one where it stands first, and names it afterwards. */
type Named = Map<string, JsonSchema>;

/** The JSON Schema of values in the JSON of an API: times are texts in ISO 8601. */
export const jsonSchemaOf = (type: AvroSchema): JsonSchema => convert(type, new Map());

function convert(type: AvroSchema, named: Named): JsonSchema {
  if (typeof type === 'string') return named.get(type) ?? primitive(type);
  if (isUnion(type)) return { oneOf: type.map((branch) => convert(branch, named)) };
  if (type.logicalType === 'timestamp-millis') return { type: 'string', format: 'date-time' };
  if (type.items !== undefined) return { type: 'array', items: convert(type.items, named) };
  return type.fields ? recordOf(type, named) : convert(type.type, named);
}

function recordOf({ name = '', doc, fields = [] }: AvroDefinition, named: Named): JsonSchema {
  const properties = fields.map((field) => [field.name, { ...convert(field.type, named), description: field.doc }]);
  const schema = {
    type: 'object',
    description: doc,
    required: fields.map((field) => field.name),
    properties: Object.fromEntries(properties) as JsonSchema,
  };
  named.set(name, schema);
  return schema;
}

function primitive(type: string): JsonSchema {
  if (type === 'int') return { type: 'integer', minimum: -(2 ** 31), maximum: 2 ** 31 - 1 };
  if (type === 'long') return { type: 'integer' };
  if (type === 'float' || type === 'double') return { type: 'number' };
  return { type };
}
