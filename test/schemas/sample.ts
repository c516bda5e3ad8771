import avro from 'avsc';

const UUID = '0198f5f4-3c4b-7a31-8a41-1f2f3a4b5c6d';
const TIME = '2026-01-02T03:04:05.678Z';

/** An example value of an Avro type, the same at every call. `name` is that of the field, by which ids look like ids. */
export function sampleOf(type: avro.Type, name = ''): unknown {
  if (avro.Type.isType(type, 'logical')) return TIME; // the only logical type of ours is timestamp-millis
  if (avro.Type.isType(type, 'record')) {
    const { fields } = type as avro.types.RecordType;
    return Object.fromEntries(fields.map((field) => [field.name, sampleOf(field.type, field.name)]));
  }
  if (avro.Type.isType(type, 'union')) {
    const branch = (type as avro.types.UnwrappedUnionType).types.find(({ typeName }) => typeName !== 'null');
    return branch ? sampleOf(branch, name) : null;
  }
  if (avro.Type.isType(type, 'array')) return [sampleOf((type as avro.types.ArrayType).itemsType, name)];
  return primitiveOf(type.typeName, name);
}

function primitiveOf(typeName: string, name: string): unknown {
  switch (typeName) {
    case 'string':
      return name.endsWith('Id') ? `${name.slice(0, -2)}-${UUID.replaceAll('-', '')}` : `a ${name}`;
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
      throw new Error(`There is no example of ${typeName}. Use other Avro types, or extend test/schemas/sample.ts.`);
  }
}
