import avro from 'avsc';

/** What earlier and later versions of a schema owe each other, in the words of schema registries: each version reads all earlier ones. */
export const COMPATIBILITY = 'BACKWARD_TRANSITIVE';

/**
 * Why values of the schema `writer` cannot be read with the schema `reader`, by Avro's rules; undefined when they can. Throws when
 * one of them is no schema.
 */
export function whyUnreadable(reader: avro.Schema, writer: avro.Schema): string | undefined {
  const [to, from] = [avro.Type.forSchema(reader), avro.Type.forSchema(writer)];
  try {
    to.createResolver(from);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The same text for schemas that differ only in layout, documentation and the way names are written. Throws when it is no schema. */
export const normalForm = (schema: avro.Schema): string =>
  JSON.stringify(avro.Type.forSchema(schema).schema({ exportAttrs: true }), (key, value: unknown) =>
    key === 'doc' ? undefined : value,
  );
