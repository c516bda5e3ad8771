import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import { errorBody } from '../errors.ts';
import type { Check, Health, HealthReport } from '../health.ts';
import { answer } from '../openapi.ts';
import { errorSchema, success } from '../schemas.ts';

const checkSchema = z.strictObject({ ok: z.boolean(), detail: z.string().meta({ examples: ['1 ms'] }) });
const checksSchema = z.strictObject({ checks: z.record(z.string(), checkSchema) });
const unwellSchema = errorSchema.extend({ data: checksSchema.optional() });

const tags = ['server'];
const readiness = {
  200: answer('Ready: a line per dependency.', success(checksSchema)),
  503: answer('Not ready, and why.', unwellSchema, ['retry-after']),
};
const schemas = {
  livez: {
    tags,
    operationId: 'isAlive',
    summary: 'Check whether the process is alive',
    response: {
      200: answer('It is alive.', success(z.strictObject({ detail: z.string() }))),
      503: answer('It should be restarted.', unwellSchema, ['retry-after']),
    },
  },
  readyz: {
    tags,
    operationId: 'isReady',
    summary: 'Check whether the process can serve requests',
    response: readiness,
  },
  health: { tags, operationId: 'readHealth', summary: 'Check each dependency', response: readiness },
  metrics: {
    tags,
    operationId: 'readMetrics',
    summary: 'Metrics for Prometheus',
    response: { 200: textAnswer('Prometheus’ text format.') },
  },
};

function textAnswer(description: string) {
  return { description, content: { 'text/plain': { schema: z.string() } } };
}

/** The probes of every role, in the API and on HEALTH_PORT alike. */
export const healthRoutes =
  (health: Health, metrics: Registry): FastifyPluginCallbackZod =>
  (app, _options, done) => {
    app.get('/livez', { schema: schemas.livez }, (request, reply) => lifeOf(health.live(), request, reply));
    for (const path of ['readyz', 'health'] as const) {
      app.get(`/${path}`, { schema: schemas[path] }, async (request, reply) =>
        readinessOf(await health.ready(), request, reply),
      );
    }
    app.get('/metrics', { schema: schemas.metrics }, async (_request, reply) => {
      reply.type(metrics.contentType);
      return metrics.metrics();
    });
    done();
  };

const lifeOf = ({ ok, detail }: Check, request: FastifyRequest, reply: FastifyReply) =>
  ok
    ? { status: 'success' as const, data: { detail } }
    : unwell(request, reply, { code: 'NOT_ALIVE', message: detail });

const readinessOf = ({ ok, reason, checks }: HealthReport, request: FastifyRequest, reply: FastifyReply) =>
  ok
    ? { status: 'success' as const, data: { checks } }
    : { ...unwell(request, reply, { code: 'NOT_READY', message: `Not ready. ${reason}` }), data: { checks } };

function unwell(request: FastifyRequest, reply: FastifyReply, why: { code: string; message: string }) {
  reply.code(503).header('retry-after', '1');
  return errorBody({ status: 503, ...why }, request.id);
}
