import { Agent, type IncomingMessage, request } from 'node:http';
import type { Random } from './history/random.ts';

/** The parts of a schema that values are generated from. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly format?: string;
  readonly examples?: readonly unknown[];
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly schema: Schema;
  readonly required?: boolean;
}

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}

export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface FuzzOptions {
  readonly url: string;
  readonly document: ApiDocument;
  /** The users in whose names requests are sent; a request without any is sent as well. */
  readonly tokens: readonly string[];
  readonly random: Random;
  readonly requests: number;
}

interface FuzzOutcome {
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Operations without any request. */
  readonly unasked: string[];
  /** Answers that the document does not describe, each with one request that got it. */
  readonly undocumented: Readonly<Record<string, string>>;
  /** 5xx answers, in the same way. */
  readonly failures: Readonly<Record<string, string>>;
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: Buffer;
}

interface Answered {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

const TEXTS = ['', ' ', 'a', 'Yes', '\0', '\u0001', 'é', 'e\u0301', '\u{1F3B5}', '\ud800', '../..', '%', "';--", '__proto__', '0', 'null', '-1', '\u202e', '\uFEFF', '2026-02-30T00:00:00.000Z', '0000-01-01T00:00:00Z']; // prettier-ignore
const NUMBERS = [0, 1, -1, 1.5, 2 ** 31, -(2 ** 31) - 1, 1e308, 2 ** 53, 2026];
const SEGMENTS = ['x', '%00', '%', '%zz', '%ff', '%c0%80', '%2F', '..', '%2e%2e', 'album-', '*', '0', 'a%0Ab', '%F0%9F%8E%B5', 'x'.repeat(5_000)]; // prettier-ignore
const HEADERS: readonly (readonly [name: string, values: readonly string[]])[] = [
  ['accept', ['application/problem+json', 'application/problem+json;q=0.1, */*', 'text/html', ';;,=', '']],
  ['content-encoding', ['gzip', 'identity', 'x']],
  ['content-type', ['text/plain', 'application/json; charset=x', 'multipart/form-data', 'a/b;', 'x', '']],
  ['if-match', ['*', '"x"', 'W/"1-a"', '"', '""', `"1-${'a'.repeat(22)}"`, `"9999999999-${'a'.repeat(22)}"`, ',', 'x']],
  ['if-none-match', ['*', '"x"', 'W/"1-a"', '"', ',,', 'x']],
  ['range', ['bytes=0-0', 'bytes=-99999999999', 'bytes=9-1', 'bytes=', 'x=1', 'bytes=0-0,2-2']],
  ['last-event-id', ['0', '1', '2147483648', '01', '-1', 'x']],
  ['idempotency-key', ['k', 'a-key-of-22-characters-', 'x'.repeat(256), 'é']],
  ['authorization', ['Bearer x', 'Bearer a.b.c', 'Basic eDp5', 'Bearer', '']],
  ['x-forwarded-for', ['1.1.1.1:1', '[::1]:x', ',,']],
  ['origin', ['null', 'https://page.example', 'x']],
];

/** Values from earlier answers that can be sent back: ids, cursors, tags, links, tokens. */
class Harvest {
  readonly #found = new Map<string, string[]>();

  add({ headers, text }: Answered): void {
    if (typeof headers.etag === 'string') this.#keep('tag', headers.etag);
    for (const [, id = '', kind = ''] of text.matchAll(/"((album|song|playlist|user|job|file)-[\w-]{3,80})"/g))
      this.#keep(kind, id);
    for (const [, cursor = ''] of text.matchAll(/"nextCursor":"([^"]+)"/g)) this.#keep('cursor', cursor);
    for (const [, query = ''] of text.matchAll(/\/content\?([^"]+)"/g)) this.#keep('link', query);
    for (const [, token = ''] of text.matchAll(/"refreshToken":"([^"]+)"/g)) this.#keep('token', token);
  }

  one(kind: string, random: Random): string | undefined {
    const found = this.#found.get(kind) ?? [];
    return found.length > 0 ? pickFrom(random, found) : undefined;
  }

  any(random: Random): string | undefined {
    return this.#found.size > 0 ? this.one(pickFrom(random, [...this.#found.keys()]), random) : undefined;
  }

  #keep(kind: string, value: string): void {
    const found = this.#found.get(kind) ?? [];
    found.push(value);
    if (found.length > 50) found.shift();
    this.#found.set(kind, found);
  }
}

/** A random element. */
function pickFrom<T>(random: Random, from: readonly T[]): T {
  if (from.length === 0) throw new Error('There is nothing to choose from.');
  return from[random.below(from.length)] as T;
}

/**
 * Sends requests to every operation, generated from its schemas and with values that violate them. The same seed sends the
 * same first ones.
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzOutcome> {
  const { document, random } = options;
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const make = createMaker(options);
  const unasked = new Set(operations.map(({ operation }) => operation.operationId));
  const [statuses, undocumented, failures] = [{}, {}, {}] as [
    Record<string, number>,
    Record<string, string>,
    Record<string, string>,
  ];
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  let left = options.requests;

  async function work(): Promise<void> {
    while (left-- > 0) {
      const target = pickFrom(random, operations);
      if (COSTLY.has(target.operation.operationId) && random.chance(0.9)) continue;
      const { operationId, responses } = target.operation;
      unasked.delete(operationId);
      const asked = make.request(target);
      const answered = await send(options.url, asked, agent);
      make.harvest.add(answered);
      const { status } = answered;
      statuses[status] = (statuses[status] ?? 0) + 1;
      const shown = () => `${asked.method} ${asked.path} ${JSON.stringify({ ...asked.headers, authorization: undefined })} ${asked.body?.toString().slice(0, 500) ?? ''} → ${answered.text.slice(0, 300)}`; // prettier-ignore
      if (status >= 500) failures[`${operationId} ${status}`] ??= shown();
      const fault = faultOf(answered, responses);
      if (fault !== undefined) undocumented[`${operationId} ${status} ${fault}`] ??= shown();
    }
  }

  await Promise.all(Array.from({ length: CONNECTIONS }, work));
  agent.destroy();
  return { statuses, unasked: [...unasked], undocumented, failures };
}

const CONNECTIONS = 8;
/** Password hashing is slow on purpose. */
const COSTLY = new Set(['registerUser', 'logIn']);

/** The parts of an answer that the document does not describe. */
function faultOf({ status, headers, text }: Answered, responses: Operation['responses']): string | undefined {
  const documented = responses[status];
  if (!documented) return 'is not documented';
  const type = headers['content-type']?.split(';')[0] ?? '';
  const types = Object.keys(documented.content ?? {});
  const isKnown = types.some((each) => each === type || each === 'application/octet-stream' || (each === 'image/*' && type.startsWith('image/'))); // prettier-ignore
  if (text !== '' && types.length > 0 && !isKnown) return `has the type ${type}`;
  if (type === 'application/x-ndjson') return faultOfLines(text);
  if (type.endsWith('json') && text !== '') {
    const body = JSON.parse(text) as { status?: unknown };
    const expected = status < 400 ? 'success' : status < 500 ? 'fail' : 'error';
    // A file of a job can be JSON as well, of its own form.
    if (types.includes('application/json') && type === 'application/json' && body.status !== expected)
      return 'has another status in its body';
  }
  return undefined;
}

function faultOfLines(text: string): string | undefined {
  try {
    for (const line of text.split('\n')) if (line !== '') JSON.parse(line);
    return undefined;
  } catch {
    return 'has a line that is not JSON';
  }
}

function createMaker({ document, tokens, random }: FuzzOptions) {
  const harvest = new Harvest();
  const { schemas } = document.components;
  const pick = <T>(from: readonly T[]): T => pickFrom(random, from);

  /** Changes, adds or removes one character. */
  function changed(text: string): string {
    const at = random.below(text.length + 1);
    return text.slice(0, at) + pick(['', 'A', '=', '0', '-', ' ']) + text.slice(at + random.below(2));
  }

  const known = (kind?: string): string => {
    const one = kind === undefined ? harvest.any(random) : harvest.one(kind, random);
    if (one === undefined) return pick(TEXTS);
    return random.chance(0.15) ? changed(one) : one;
  };

  function text(name: string, { maxLength = 40, examples = [] }: Schema): string {
    const kind = /^(album|song|playlist|user|job|file)ids?$/i.exec(name.replaceAll('_', ''))?.[1]?.toLowerCase();
    if (kind !== undefined && random.chance(0.8)) return known(kind);
    if (name === 'cursor') return cursor();
    if (name === 'refreshToken' && random.chance(0.7)) return known('token');
    if (random.chance(0.5) && examples.length > 0) return String(pick(examples));
    if (random.chance(0.1)) return 'a'.repeat(Math.min(maxLength, 3_000) + random.below(2));
    return pick(TEXTS) + pick(TEXTS);
  }

  function cursor(): string {
    if (random.chance(0.4)) return known('cursor');
    const plain = pick(['2026-02-30T00:00:00.000Z job-1', '0000-01-01T00:00:00.000Z job-1', '2026-01-01T00:00:00.000Z x', 'song-1', '-1', '5', '9'.repeat(20), '\0', pick(TEXTS)]); // prettier-ignore
    return Buffer.from(random.chance(0.3) ? changed(plain) : plain).toString('base64url');
  }

  function value(name: string, schema: Schema, depth = 0): unknown {
    if (random.chance(0.05) || depth > 6) return pick([null, true, 0, '', [], {}, pick(TEXTS), pick(NUMBERS)]);
    if (schema.$ref !== undefined) return value(name, schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {}, depth + 1);
    if (schema.anyOf) return value(name, pick(schema.anyOf), depth + 1);
    if (schema.const !== undefined) return schema.const;
    if (schema.enum && random.chance(0.9)) return pick(schema.enum);
    if (schema.type === 'string') return text(name, schema);
    if (schema.type === 'integer' || schema.type === 'number')
      return random.chance(0.7) ? 1 + random.below(2_000) : pick(NUMBERS);
    if (schema.type === 'boolean') return random.chance(0.5);
    if (schema.type === 'array')
      return Array.from({ length: random.below(4) }, () => value(name, schema.items ?? {}, depth + 1));
    return objectOf(schema, depth);
  }

  function objectOf({ properties = {}, required = [] }: Schema, depth: number): object {
    const fields = Object.entries(properties).filter(([name]) => random.chance(required.includes(name) ? 0.97 : 0.4));
    const unknown = random.chance(0.03) ? [[pick(['x', '__proto__', '', 'a/b']), 1] as const] : [];
    return Object.fromEntries([
      ...fields.map(([name, schema]) => [name, value(name, schema, depth + 1)] as const),
      ...unknown,
    ]);
  }

  function bodyOf({ requestBody }: Operation): { body?: Buffer; type?: string } {
    const content = Object.entries(requestBody?.content ?? {});
    const [[type, { schema }] = ['application/json', { schema: {} }]] = content;
    if (content.length === 0 && random.chance(0.9)) return {};
    if (random.chance(0.05)) return { type, body: Buffer.from(pick(['{', 'null', '[]', '{}', '', '\uFEFF{}', '\0', '"x"', '{"a":1e999}', '['.repeat(100)])) }; // prettier-ignore
    if (random.chance(0.01)) return { type, body: Buffer.alloc(70_000, ' ') };
    if (!type.startsWith('multipart/')) return { type, body: Buffer.from(JSON.stringify(value('', schema))) };
    const head = `--b\r\nContent-Disposition: form-data; name="${pick(['cover', 'cover', 'x'])}"; filename="a.png"\r\n\r\n`;
    const bytes = random.chance(0.7) ? PIXEL : Buffer.from(pick(TEXTS));
    return { type: 'multipart/form-data; boundary=b', body: Buffer.concat([Buffer.from(head), bytes, Buffer.from(random.chance(0.9) ? '\r\n--b--\r\n' : '')]) }; // prettier-ignore
  }

  function segment(name: string, path: string): string {
    if (random.chance(0.2)) return pick(SEGMENTS);
    const kind = name === 'fileId' ? 'file' : (/(album|song|playlist|job)/.exec(path)?.[1] ?? 'job');
    return encodeURIComponent(known(random.chance(0.9) ? kind : undefined).toWellFormed());
  }

  function queryOf({ parameters = [] }: Operation): string {
    if (parameters.some(({ name }) => name === 'signature') && random.chance(0.7))
      return `?${known('link').replace(/[^\x21-\x7e]/g, '')}`;
    const given = parameters.filter((each) => each.in === 'query' && random.chance(0.4));
    const pairs = given.map(
      ({ name, schema }) => `${name}=${encodeURIComponent(String(value(name, schema)).toWellFormed())}`,
    );
    if (random.chance(0.03)) pairs.push(pick(['%zz', 'x=1', 'limit=1&limit=2', '%00', '&&', '__proto__=1']));
    return pairs.length > 0 ? `?${pairs.join('&')}` : '';
  }

  function headersOf({ parameters = [] }: Operation, type: string | undefined): Record<string, string> {
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
    if (random.chance(0.9)) headers.authorization = `Bearer ${pick(tokens)}`;
    for (const [name, values] of HEADERS) {
      const isNamed = parameters.some((parameter) => parameter.name === name);
      if (random.chance(isNamed ? 0.3 : 0.02)) headers[name] = pick(values);
    }
    if (random.chance(0.1)) headers[pick(['if-match', 'if-none-match'])] = known('tag').replace(/[^\x21-\x7e]/g, '');
    return Object.fromEntries(
      Object.entries(headers).map(([name, text]) => [name, Buffer.from(text).toString('latin1')]),
    );
  }

  return {
    harvest,
    request({ path, method, operation }: { path: string; method: string; operation: Operation }): Asked {
      const { body, type } = bodyOf(operation);
      const at = path.replace(/\{(\w+)\}/g, (_, name: string) => segment(name, path));
      return { method, path: at + queryOf(operation), headers: headersOf(operation, type), body };
    },
  };
}

/** A whole PNG. */
const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  'base64',
);

function send(url: string, { method, path, headers, body }: Asked, agent: Agent): Promise<Answered> {
  const { promise, resolve, reject } = Promise.withResolvers<Answered>();
  const { hostname, port } = new URL(url);
  const length = body === undefined ? {} : { 'content-length': body.length };
  const sent = request({ hostname, port, path, method, headers: { ...headers, ...length }, agent }, (answer) => {
    const { statusCode: status = 0, headers } = answer;
    const chunks: Buffer[] = [];
    const end = () => resolve({ status, headers, text: Buffer.concat(chunks).toString() });
    // Event streams last as long as the job.
    if (headers['content-type'] === 'text/event-stream') {
      answer.destroy();
      resolve({ status, headers, text: '' });
    } else
      answer
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .once('end', end)
        .once('error', reject);
  });
  sent.once('error', (error) => reject(new Error(`${method} ${path.slice(0, 200)}: ${error.message}`)));
  sent.end(body);
  return promise;
}
