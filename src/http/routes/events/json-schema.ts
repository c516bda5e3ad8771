import { type AvroDefinition, type AvroSchema, isUnion } from './schema-fields.ts';

type JsonSchema = Readonly<Record<string, unknown>>;

/** The JSON Schema of values in the JSON of an API: times are texts in ISO 8601. */
export function jsonSchemaOf(type: AvroSchema): JsonSchema {
  if (typeof type === 'string') return primitive(type);
  if (isUnion(type)) return unionOf(type);
  if (type.logicalType === 'timestamp-millis') return { type: 'string', format: 'date-time' };
  if (type.items !== undefined) return { type: 'array', items: jsonSchemaOf(type.items) };
  return type.fields ? recordOf(type) : jsonSchemaOf(type.type);
}

function recordOf({ doc, fields = [] }: AvroDefinition): JsonSchema {
  const properties = fields.map(({ name, type, doc: description }) => [name, { ...jsonSchemaOf(type), description }]);
  return {
    type: 'object',
    description: doc,
    required: fields.map(({ name }) => name),
    properties: Object.fromEntries(properties) as JsonSchema,
  };
}

const unionOf = (branches: readonly AvroSchema[]): JsonSchema => ({ oneOf: branches.map(jsonSchemaOf) });

function primitive(type: string): JsonSchema {
  if (type === 'int') return { type: 'integer', minimum: -(2 ** 31), maximum: 2 ** 31 - 1 };
  if (type === 'long') return { type: 'integer' };
  if (type === 'float' || type === 'double') return { type: 'number' };
  return { type };
}
