import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { reasonOf } from '../errors.ts';
import { releasedSchemas, type StoredSchema } from '../events/codec.ts';
import { normalForm } from '../events/compatibility.ts';
import { type Output, print as printLine } from './print.ts';

export interface PushOptions {
  /** `name:password` for basic authentication. */
  readonly user?: string;
  /** A file that holds `name:password`. */
  readonly userFile?: string;
}

/** Seconds that one request may take. */
const REQUEST_SECONDS = 30;
const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json';

const failureSchema = z.object({ message: z.string(), error_code: z.int() });
const foundSchema = z.object({ schema: z.string() });
const registeredSchema = z.object({ id: z.int() });

interface RegistryAnswer {
  readonly status: number;
  readonly body: unknown;
}

type Send = (method: string, path: string, body?: object) => Promise<RegistryAnswer>;

/**
 * Registers all schemas at a schema registry under the ids that records carry. A registry gives new ids itself unless it is in import
 * mode, so each subject is in that mode while its versions are sent. Exit code 1: the registry cannot take them; what was printed says why.
 */
export async function schemasPush(url: string, options: PushOptions, print: Output = printLine): Promise<number> {
  const send = clientOf(url, options);
  const found = await Promise.all(
    releasedSchemas.map(async (schema) => ({ schema, isThere: await isThere(send, schema) })),
  );
  const missing = found.flatMap(({ schema, isThere }) => (isThere ? [] : [schema]));
  for (const [subject, versions] of Map.groupBy(missing, (schema) => schema.subject)) {
    await importing(send, subject, async () => {
      for (const schema of versions) await register(send, schema);
    });
  }
  print(`The registry has all ${found.length} schemas under their ids; ${missing.length} of them are new.`);
  return 0;
}

function clientOf(url: string, { user, userFile }: PushOptions): Send {
  const { origin, pathname, username, password } = new URL(url);
  const base = origin + pathname.replace(/\/+$/, '');
  const inUrl = username === '' ? undefined : `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const credentials = user ?? (userFile === undefined ? inUrl : readFileSync(userFile, 'utf8').trim());
  const authorization = credentials && { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` };
  return async (method, path, body) => {
    const headers = { accept: MEDIA_TYPE, 'content-type': MEDIA_TYPE, ...authorization };
    const signal = AbortSignal.timeout(REQUEST_SECONDS * 1_000);
    const request = { method, headers, signal, body: body && JSON.stringify(body) };
    const answer = await fetch(base + path, request).catch((error: unknown) => {
      throw new Error(`The registry at ${base} cannot be reached: ${reasonOf(error)}`);
    });
    const text = await answer.text();
    if (answer.status === 401 || answer.status === 403)
      throw new Error(`The registry at ${base} refused access (${answer.status}). Check --user or --user-file.`);
    return { status: answer.status, body: jsonOf(text) };
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether the registry has the schema under its id. Throws when it has another one there, because an id never changes its meaning. */
async function isThere(send: Send, { id, subject, version, definition }: StoredSchema): Promise<boolean> {
  const { status, body } = await send('GET', `/schemas/ids/${id}`);
  if (status === 404) return false;
  const found = foundSchema.safeParse(body);
  if (status !== 200 || !found.success) throw refusal(`GET /schemas/ids/${id}`, { status, body });
  if (normalOf(found.data.schema) === normalForm(definition)) return hasVersion(send, { subject, version });
  throw new Error(
    `Id ${id} belongs to another schema at the registry, so ${subject} version ${version} cannot have it. ` +
      'Use a registry, or a context of it (/contexts/.openmusic), in which the ids up to ' +
      `${Math.max(...releasedSchemas.map((each) => each.id))} are free. Nothing was registered.`,
  );
}

/** A registry can know a schema by its id from another subject. */
async function hasVersion(send: Send, { subject, version }: Pick<StoredSchema, 'subject' | 'version'>) {
  const { status } = await send('GET', `/subjects/${subject}/versions/${version}`);
  return status === 200;
}

function normalOf(schema: string): string | undefined {
  try {
    return normalForm(JSON.parse(schema) as Parameters<typeof normalForm>[0]);
  } catch {
    return undefined;
  }
}

/** Runs `work` while the subject is in import mode. Throws before it runs when the registry has no such mode. */
async function importing(send: Send, subject: string, work: () => Promise<void>): Promise<void> {
  const answer = await send('PUT', `/mode/${subject}?force=true`, { mode: 'IMPORT' });
  if (answer.status !== 200) {
    throw new Error(
      `The registry does not let ${subject} be imported, so it would give the schema an id of its own, and the ids in the records ` +
        `would mean other schemas. ${refusal('PUT /mode', answer).message}`,
    );
  }
  try {
    await work();
  } finally {
    await send('DELETE', `/mode/${subject}`);
  }
}

async function register(send: Send, { id, subject, version, definition }: StoredSchema): Promise<void> {
  const request = { schema: JSON.stringify(definition), schemaType: 'AVRO', id, version };
  const answer = await send('POST', `/subjects/${subject}/versions`, request);
  const made = registeredSchema.safeParse(answer.body);
  if (answer.status !== 200 || !made.success) throw refusal(`${subject} version ${version}`, answer);
  if (made.data.id === id) return;
  throw new Error(
    `The registry gave ${subject} version ${version} the id ${made.data.id}, and records carry ${id}: it does not import. ` +
      'Delete that version at the registry.',
  );
}

function refusal(what: string, { status, body }: RegistryAnswer): Error {
  const failure = failureSchema.safeParse(body);
  const why = failure.success ? `: ${failure.data.message} (${failure.data.error_code})` : '';
  return new Error(`The registry answered ${status} to ${what}${why}.`);
}
