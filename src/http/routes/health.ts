import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import { errorBody } from '../errors.ts';
import type { Check, Health, HealthReport } from '../health.ts';
import { answer } from '../openapi.ts';
import { errorSchema, success } from '../schemas.ts';

const check = z.strictObject({ ok: z.boolean(), detail: z.string().meta({ examples: ['1 ms'] }) });
const checks = z.strictObject({ checks: z.record(z.string(), check) });
const unwell = errorSchema.extend({ data: checks.optional() });

const tags = ['server'];
const readiness = {
  200: answer('Ready: a line per dependency.', success(checks)),
  503: answer('Not ready, and why.', unwell, ['retry-after']),
};
const schemas = {
  livez: {
    tags,
    summary: 'Whether the process should go on living',
    response: {
      200: answer('It should.', success(z.strictObject({ detail: z.string() }))),
      503: answer('It should be started again.', unwell, ['retry-after']),
    },
  },
  readyz: { tags, summary: 'Whether the process should get requests', response: readiness },
  health: { tags, summary: 'How each dependency is doing', response: readiness },
  metrics: { tags, summary: 'Metrics for Prometheus', response: { 200: textAnswer('Prometheus’ text format.') } },
};

function textAnswer(description: string) {
  return { description, content: { 'text/plain': { schema: z.string() } } };
}

/** The probes of every role, in the API and on HEALTH_PORT alike. */
export const healthRoutes =
  (health: Health, metrics: Registry): FastifyPluginCallbackZod =>
  (app, _options, done) => {
    app.get('/livez', { schema: schemas.livez }, (request, reply) => sendLife(request, reply, health.live()));
    app.get('/readyz', { schema: schemas.readyz }, async (request, reply) =>
      sendReport(request, reply, await health.ready()),
    );
    app.get('/health', { schema: schemas.health }, async (request, reply) =>
      sendReport(request, reply, await health.ready()),
    );
    app.get('/metrics', { schema: schemas.metrics }, async (_request, reply) =>
      reply.type(metrics.contentType).send(await metrics.metrics()),
    );
    done();
  };

const sendLife = (request: FastifyRequest, reply: FastifyReply, { ok, detail }: Check) =>
  ok ? reply.send({ status: 'success', data: { detail } }) : sendUnwell(request, reply, 'NOT_ALIVE', detail);

const sendReport = (request: FastifyRequest, reply: FastifyReply, { ok, reason, checks: data }: HealthReport) =>
  ok
    ? reply.send({ status: 'success', data: { checks: data } })
    : sendUnwell(request, reply, 'NOT_READY', `Not ready. ${reason}`, { checks: data });

function sendUnwell(request: FastifyRequest, reply: FastifyReply, code: string, message: string, data?: object) {
  return reply
    .code(503)
    .header('retry-after', '1')
    .send({ ...errorBody({ status: 503, code, message }, request.id), data });
}
