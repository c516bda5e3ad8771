import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import { z } from 'zod';
import { COMPATIBILITY } from '../../../events/compatibility.ts';
import { releasedSchemas, type StoredSchema } from '../../../events/codec.ts';
import { answerErrors, HttpError, type Problem } from '../../errors.ts';
import { acceptJsonOf, type JsonLimits } from '../../json-body.ts';
import { createLookup, invalidSchema, type SchemaLookup, subjectSettingNotFound } from './lookup.ts';

/** Of all answers. Clients also send it. */
const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json';

interface RegistryDependencies {
  readonly limits: JsonLimits;
  readonly logger: Logger;
}

type App = Parameters<FastifyPluginCallbackZod>[0];

/**
 * A schema registry with the protocol of Confluent's, for reading only. What stock clients ask is answered; all else is 404, in the
 * form of the registry's errors, because some clients stop at any other refusal. The contract is not ours, so the API page does not
 * show it.
 */
export const registryRoutes =
  ({ limits, logger }: RegistryDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    for (const type of [MEDIA_TYPE, 'application/vnd.schemaregistry+json', 'application/octet-stream'])
      acceptJsonOf(app, type, limits);
    app.setErrorHandler(answerErrors(logger, sendError));
    const lookup = createLookup(releasedSchemas);
    registerSchemas(app, lookup);
    registerSubjects(app, lookup);
    registerCompatibility(app, lookup);
    registerSettings(app);
    app.route({
      method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
      url: '/registry/*',
      schema: hidden,
      handler: () => notThere(),
    });
    registered();
  };

/** The API page does not show the route. */
const hidden = { hide: true };
const byId = {
  ...hidden,
  params: z.object({ id: z.string() }),
  querystring: z.object({ fetchMaxId: z.string().optional() }),
};
const bySubject = { ...hidden, params: z.object({ subject: z.string() }) };
const byVersion = { ...hidden, params: z.object({ subject: z.string(), version: z.string() }) };

function registerSchemas(app: App, lookup: SchemaLookup): void {
  app.get('/registry', { schema: hidden }, (_request, reply) => send(reply, {}));
  app.get('/registry/schemas/types', { schema: hidden }, (_request, reply) => send(reply, ['AVRO']));
  app.get('/registry/schemas/ids/:id', { schema: byId }, ({ params, query }, reply) => {
    const schema = textOf(lookup.byId(params.id));
    return send(reply, query.fetchMaxId === 'true' ? { schema, maxId: lookup.maxId } : { schema });
  });
  app.get('/registry/schemas/ids/:id/schema', { schema: byId }, ({ params }, reply) =>
    send(reply, lookup.byId(params.id).definition),
  );
  app.get('/registry/schemas/ids/:id/subjects', { schema: byId }, ({ params }, reply) =>
    send(reply, [lookup.byId(params.id).subject]),
  );
  app.get('/registry/schemas/ids/:id/versions', { schema: byId }, ({ params }, reply) => {
    const { subject, version } = lookup.byId(params.id);
    return send(reply, [{ subject, version }]);
  });
}

/** `:*:` asks for the subjects of all contexts of a registry. This one has no contexts. */
const listing = { ...hidden, querystring: z.object({ subjectPrefix: z.string().optional() }) };

function registerSubjects(app: App, lookup: SchemaLookup): void {
  app.get('/registry/subjects', { schema: listing }, ({ query }, reply) => {
    const prefix = query.subjectPrefix?.replace(/^:\*:/, '') ?? '';
    return send(
      reply,
      lookup.subjects.filter((subject) => subject.startsWith(prefix)),
    );
  });
  app.post('/registry/subjects/:subject', { schema: { ...bySubject, body: sentSchema } }, ({ params, body }, reply) =>
    send(reply, versionView(lookup.find(params.subject, avroTextOf(body)))),
  );
  app.get('/registry/subjects/:subject/versions', { schema: bySubject }, ({ params }, reply) =>
    send(
      reply,
      lookup.versionsOf(params.subject).map(({ version }) => version),
    ),
  );
  const one = '/registry/subjects/:subject/versions/:version';
  app.get(one, { schema: byVersion }, ({ params }, reply) =>
    send(reply, versionView(lookup.version(params.subject, params.version))),
  );
  app.get(`${one}/schema`, { schema: byVersion }, ({ params }, reply) =>
    send(reply, lookup.version(params.subject, params.version).definition),
  );
  app.get(`${one}/referencedby`, { schema: byVersion }, ({ params }, reply) => {
    lookup.version(params.subject, params.version);
    return send(reply, []);
  });
}

/** Clients send more than this, and newer ones even more. */
const sentSchema = z.object({ schema: z.string(), schemaType: z.string().nullish() });

const verbosely = { querystring: z.object({ verbose: z.string().optional() }), body: sentSchema };

function registerCompatibility(app: App, lookup: SchemaLookup): void {
  const all = '/registry/compatibility/subjects/:subject/versions';
  app.post(all, { schema: { ...bySubject, ...verbosely } }, ({ params, query, body }, reply) =>
    send(reply, verdictOf(lookup.conflicts(avroTextOf(body), lookup.versionsOf(params.subject)), query.verbose)),
  );
  app.post(`${all}/:version`, { schema: { ...byVersion, ...verbosely } }, ({ params, query, body }, reply) => {
    const against = lookup.version(params.subject, params.version);
    return send(reply, verdictOf(lookup.conflicts(avroTextOf(body), [against]), query.verbose));
  });
}

const verdictOf = (messages: readonly string[], verbose = 'false') => ({
  is_compatible: messages.length === 0,
  ...(verbose === 'true' && { messages }),
});

const ofSubject = { ...bySubject, querystring: z.object({ defaultToGlobal: z.string().optional() }) };

function registerSettings(app: App): void {
  const settings = [
    { name: 'config', value: { compatibilityLevel: COMPATIBILITY }, missing: 40_408 },
    { name: 'mode', value: { mode: 'READONLY' }, missing: 40_409 },
  ] as const;
  for (const { name, value, missing } of settings) {
    app.get(`/registry/${name}`, { schema: hidden }, (_request, reply) => send(reply, value));
    app.get(`/registry/${name}/:subject`, { schema: ofSubject }, ({ params, query }, reply) => {
      if (query.defaultToGlobal === 'true') return send(reply, value);
      throw subjectSettingNotFound(missing, params.subject);
    });
  }
}

const textOf = ({ definition }: StoredSchema): string => JSON.stringify(definition);

/** The form in which the protocol shows a version. */
const versionView = (schema: StoredSchema) => ({
  subject: schema.subject,
  id: schema.id,
  version: schema.version,
  schemaType: 'AVRO',
  schema: textOf(schema),
});

function avroTextOf({ schema, schemaType }: z.output<typeof sentSchema>): string {
  if (schemaType === 'AVRO' || schemaType === undefined || schemaType === null) return schema;
  throw invalidSchema('only AVRO is known here.');
}

/** Sent as bytes, because Fastify adds a charset to the media type of a text. */
const send = (reply: FastifyReply, body: unknown) =>
  reply.header('content-type', MEDIA_TYPE).send(Buffer.from(JSON.stringify(body)));

function sendError(request: FastifyRequest, reply: FastifyReply, { status, code, message, headers }: Problem): void {
  const error_code = /^\d+$/.test(code) ? Number(code) : status;
  void send(reply.code(status).headers({ 'x-request-id': request.id, ...headers }), { error_code, message });
}

function notThere(): never {
  throw new HttpError({ status: 404, code: '404', message: 'HTTP 404 Not Found' });
}
