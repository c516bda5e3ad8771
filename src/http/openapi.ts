import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import { isProbe } from './cors.ts';
import { isRefused } from './read-only.ts';
import { errorSchema, problemSchema } from './schemas.ts';

const HEADERS = {
  etag: { type: 'string', description: 'Version of the stream and hash of this body.', examples: ['"3-mZKbQv…"'] },
  'idempotency-replayed': { type: 'string', enum: ['true'], description: 'The command had its effect before.' },
  'x-data-source': { type: 'string', enum: ['cache', 'database'], description: 'Where the answer came from.' },
  location: { type: 'string', description: 'Where the job is seen.', examples: ['http://localhost:5000/jobs/job-…'] },
  'retry-after': { type: 'integer', description: 'Seconds.' },
} as const;

type HeaderName = keyof typeof HEADERS;

/** A documented answer. Its schema is used by the API page and by tests, not at run time. */
export const answer = <Schema extends z.ZodType>(description: string, schema: Schema, headers: HeaderName[] = []) => ({
  description,
  headers: pick(headers),
  content: { 'application/json': { schema } },
});

const pick = (names: readonly HeaderName[]) => Object.fromEntries(names.map((name) => [name, HEADERS[name]]));

const FAILURES = {
  400: 'The input is not valid, or the change is not possible.',
  401: 'Needs a login.',
  403: 'Not for this account: where only admins may do it, the message says how one becomes an admin. Also every change on a server that only follows another one (`READ_ONLY`).',
  404: 'There is no such thing.',
  408: 'The request did not arrive in time.',
  409: 'The change lost the race against others too often; of a result: there is none yet.',
  410: 'The file has been deleted.',
  412: '`If-Match` does not match. The current ETag is in the header.',
  413: 'The body is too large.',
  415: 'The body has the wrong media type, or is compressed.',
  416: 'The file has no such range.',
  422: 'The idempotency key belongs to another request.',
  429: 'Too many requests. `Retry-After` says when to try again.',
  431: 'The request line and the headers are too long.',
  503: 'It cannot be done now, or its outcome is not known yet. Try again; repeat a change with the same idempotency key.',
} as const;

type FailureStatus = keyof typeof FAILURES;

const HEADERS_OF_FAILURE: Partial<Record<FailureStatus, HeaderName[]>> = {
  412: ['etag'],
  429: ['retry-after'],
  503: ['retry-after'],
};

/** The documented error answers of a route. */
export const failures = (...statuses: FailureStatus[]) =>
  Object.fromEntries(statuses.map((status) => [status, failure(status)]));

const failure = (status: FailureStatus) => ({
  description: FAILURES[status],
  headers: pick(HEADERS_OF_FAILURE[status] ?? []),
  content: {
    'application/json': { schema: errorSchema },
    'application/problem+json': { schema: problemSchema },
  },
});

const DESCRIPTION = `Albums, songs, playlists, likes and jobs, stored as events on a log. Once a change is answered, every read shows it.

Errors carry a stable \`code\` and a \`requestId\`; with \`Accept: application/problem+json\` they are RFC 9457 problem details.
Every change takes an \`Idempotency-Key\`; albums, songs and playlists have ETags for \`If-None-Match\` and \`If-Match\`.

The events themselves: [catalogue](docs/events), [AsyncAPI](asyncapi.json), [schema registry](registry/subjects).`;

const TAGS = [
  { name: 'albums', description: 'Albums and the songs on them.' },
  { name: 'songs', description: 'The catalog of songs, each on one album or none.' },
  { name: 'users', description: 'Registration and login.' },
  { name: 'playlists', description: 'Playlists, who shares them, and what was done to them.' },
  {
    name: 'jobs',
    description: 'Long-running work: exports, mails, archives, reports. Accepted at once, done in the background.',
  },
  { name: 'files', description: 'The files that jobs have made, and their downloads.' },
  { name: 'admin', description: 'For the operators of the installation.' },
  { name: 'server', description: 'About this server, and its health.' },
];

/** Serves the page at `/docs` and the document at `/docs/json`, generated from the validation schemas. Call it before the routes are registered. */
export function describeApi(app: FastifyInstance, about: { version: string; publicUrl: string }): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'OpenMusic',
        version: about.version,
        description: DESCRIPTION,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: about.publicUrl }],
      tags: TAGS,
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
    transform: (route) => {
      const schema = withImplied(route);
      const transformed = jsonSchemaTransform({ ...route, schema });
      return { ...transformed, schema: withHeaders(transformed.schema, schema) };
    },
    transformObject: documentOf,
  });
  app.register(swaggerUi, {
    routePrefix: '/docs',
    theme: { title: 'OpenMusic API' },
    staticCSP: pagePolicy(about.publicUrl),
    uiConfig: { docExpansion: 'list', tryItOutEnabled: true },
  });
}

/** The page loads only its own scripts and calls only this API. Swagger UI sets inline styles while it runs. */
const pagePolicy = (publicUrl: string) => ({
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self' 'unsafe-inline'",
  'img-src': "'self' data:",
  'connect-src': `'self' ${new URL(publicUrl).origin}`,
  'base-uri': "'none'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
});

type Route = Parameters<typeof jsonSchemaTransform>[0];

/** Adds the answers that every route can give before its handler runs. */
function withImplied({ schema, url, route }: Route): FastifySchema {
  const implied = impliedBy([route.method].flat(), url);
  return { ...schema, response: { ...failures(...implied), ...(schema.response ?? {}) } };
}

/** For example: a malformed, slow or long request, an unsupported body, an id that cannot be decoded, a read-only server, the default rate limit, unknown access. */
function impliedBy(methods: readonly string[], url: string): FailureStatus[] {
  const isWrite = methods.some((method) => method !== 'GET' && method !== 'HEAD');
  return [
    ...([400, 408, 431] as const),
    ...(isWrite ? ([413, 415] as const) : []),
    ...(url.includes(':') ? ([404] as const) : []),
    ...(methods.some((method) => isRefused(method, url)) ? ([403] as const) : []),
    ...(isProbe(url) ? [] : ([429, 503] as const)),
  ];
}

/** Restores the headers of answers, which the transform drops. */
function withHeaders(transformed: FastifySchema, { response }: FastifySchema = {}): FastifySchema {
  const described = (transformed.response ?? {}) as Record<string, object>;
  for (const [status, { headers }] of Object.entries((response ?? {}) as Record<string, { headers?: object }>)) {
    if (headers && described[status]) described[status] = { ...described[status], headers };
  }
  return transformed;
}

/** Every named schema is generated once for requests and once for answers: those that no route refers to are removed. */
function documentOf(raw: Parameters<typeof jsonSchemaTransformObject>[0]) {
  const document = jsonSchemaTransformObject(raw);
  const schemas: Record<string, unknown> = 'components' in document ? (document.components?.schemas ?? {}) : {};
  const used = referenced(document.paths, schemas);
  for (const name of Object.keys(schemas)) if (!used.has(name)) Reflect.deleteProperty(schemas, name);
  return document;
}

function referenced(part: unknown, schemas: Record<string, unknown>, found = new Set<string>()): Set<string> {
  for (const [, name = ''] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
    if (found.has(name)) continue;
    found.add(name);
    referenced(schemas[name], schemas, found);
  }
  return found;
}
