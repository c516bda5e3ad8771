import { normalForm, whyUnreadable } from '../../../events/compatibility.ts';
import type { StoredSchema } from '../../../events/codec.ts';
import { HttpError } from '../../errors.ts';

/** An error with a code of the registry's protocol: the status and two more digits. */
const registryError = (code: number, message: string) =>
  new HttpError({ status: Math.floor(code / 100), code: String(code), message });

const schemaNotFound = (id?: string) =>
  registryError(40_403, id === undefined ? 'Schema not found.' : `Schema ${id} not found.`);

const subjectNotFound = (subject: string) =>
  registryError(40_401, `Subject '${subject}' not found. Subjects are record names, such as openmusic.AlbumCreated.`);

export const invalidSchema = (reason: string) => registryError(42_201, `Invalid schema: ${reason}`);

/** A setting of one subject: there are only those of the whole registry. */
export const subjectSettingNotFound = (code: 40_408 | 40_409, subject: string) =>
  registryError(code, `Subject '${subject}' has no setting of its own.`);

/** Schemas as a schema registry finds them: by id, by subject and version, by content. */
export interface SchemaLookup {
  readonly subjects: readonly string[];
  readonly maxId: number;
  /** Throws 40403. */
  byId(id: string): StoredSchema;
  /** In ascending order. Throws 40401. */
  versionsOf(subject: string): readonly StoredSchema[];
  /** `version` is a number, `latest` or `-1`. Throws 40401, 40402 and 42202. */
  version(subject: string, version: string): StoredSchema;
  /** The version with the same content. The subject can also be that of a topic. Throws 40401, 40403 and 42201. */
  find(subject: string, text: string): StoredSchema;
  /** Why the schema cannot read values of the subject's versions: a line for each of them. Throws 42201. */
  conflicts(text: string, versions: readonly StoredSchema[]): string[];
}

export function createLookup(schemas: readonly StoredSchema[]): SchemaLookup {
  const ascending = schemas.toSorted((one, other) => one.version - other.version);
  const bySubject = Map.groupBy(ascending, ({ subject }) => subject);
  const byId = new Map(schemas.map((schema) => [String(schema.id), schema]));
  const versionsOf = (subject: string) => bySubject.get(subject) ?? fail(subjectNotFound(subject));
  return {
    subjects: [...bySubject.keys()].sort(),
    maxId: Math.max(...schemas.map(({ id }) => id)),
    byId: (id) => byId.get(id) ?? fail(schemaNotFound(id)),
    versionsOf,
    version(subject, version) {
      const versions = versionsOf(subject);
      const wanted = numberOf(version);
      const found = wanted === -1 ? versions.at(-1) : versions.find((each) => each.version === wanted);
      return found ?? fail(registryError(40_402, `Version ${version} not found.`));
    },
    find(subject, text) {
      const candidates = isOfTopic(subject) ? ascending : versionsOf(subject);
      const wanted = valid(text, normalForm);
      return candidates.find(({ definition }) => normalForm(definition) === wanted) ?? fail(schemaNotFound());
    },
    conflicts: (text, versions) =>
      versions.flatMap(({ definition, version }) => {
        const reason = valid(text, (schema) => whyUnreadable(schema, definition));
        return reason === undefined ? [] : [`version ${version}: ${reason}`];
      }),
  };
}

/**
 * Clients that were not told another strategy, Kafka Connect's converter for example, look for a schema that they have read in the
 * subject `<topic>-value`. The events of a topic have many subjects, so such a look-up searches all of them.
 */
const isOfTopic = (subject: string): boolean => subject.endsWith('-value');

/** -1 is the latest version. */
function numberOf(version: string): number {
  if (version === 'latest' || version === '-1') return -1;
  const number = Number(version);
  if (/^[1-9]\d{0,9}$/.test(version) && number < 2 ** 31) return number;
  throw registryError(42_202, `'${version}' is no version: it is a number from 1 to 2147483647, or latest.`);
}

/** Reads the text of a client as a schema. Throws 42201. */
function valid<Value>(text: string, use: (schema: StoredSchema['definition']) => Value): Value {
  try {
    return use(JSON.parse(text) as StoredSchema['definition']);
  } catch (error) {
    throw invalidSchema(error instanceof Error ? error.message : String(error));
  }
}

function fail(error: Error): never {
  throw error;
}
