import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { message } from '../../jobs/mailing.ts';
import { mustBeLoggedIn } from '../auth.ts';
import { jobAccepted, provider, timing } from '../job-schemas.ts';
import { wishOf } from '../job-wishes.ts';
import { common, jobStarter, START_FAILURES, type StartDependencies } from '../jobs.ts';
import { answer, failures } from '../openapi.ts';
import { writeHeaders } from '../schemas.ts';

const response = {
  202: answer('Accepted.', jobAccepted, ['location', 'idempotency-replayed']),
  ...failures(...START_FAILURES),
};

const messageBody = message.extend({ provider, ...timing }).meta({ id: 'Message' });
const batchBody = z
  .strictObject({
    // Counted before any of them is looked at.
    items: z.array(z.unknown()).min(1).meta({ description: 'Messages, each with `to`, `subject` and `body`.' }),
    provider,
    deliverAt: timing.deliverAt,
  })
  .meta({ id: 'MessageBatch' });

const schemas = {
  send: {
    ...common,
    operationId: 'sendMessage',
    summary: 'Send a mail, now or later, once or again and again',
    headers: writeHeaders,
    body: messageBody,
    response,
  },
  sendMany: {
    ...common,
    operationId: 'sendMessages',
    summary: 'Send many mails',
    description: 'Each has an outcome of its own, at `/jobs/{id}/items`: one that is refused does not stop the others.',
    headers: writeHeaders,
    body: batchBody,
    response,
  },
};

export const messageRoutes =
  (deps: StartDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { onStart: onRequest } = deps;
    const { items, bytes: bodyLimit } = deps.jobs.batch;
    const start = jobStarter(deps);
    app.addHook('onRequest', mustBeLoggedIn);

    app.post('/messages', { schema: schemas.send, onRequest }, async (request, reply) => {
      const { deliverAt, repeat, ...payload } = request.body;
      const jobId = await start(request, reply, wishOf({ type: 'email', payload, deliverAt, repeat }, items));
      return reply.code(202).send({ status: 'success', data: { jobId } });
    });

    app.post('/messages/batch', { schema: schemas.sendMany, onRequest, bodyLimit }, async (request, reply) => {
      const { deliverAt, ...payload } = request.body;
      const jobId = await start(request, reply, wishOf({ type: 'email-batch', payload, deliverAt }, items));
      return reply.code(202).send({ status: 'success', data: { jobId } });
    });

    registered();
  };
