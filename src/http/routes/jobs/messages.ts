import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { message } from '../../../jobs/mailing.ts';
import { email } from '../../../jobs/types/email.ts';
import { emailBatch } from '../../../jobs/types/email-batch.ts';
import { listOf } from '../../../text.ts';
import { mustBeLoggedIn } from '../../auth.ts';
import { handling, jobAccepted, provider, timing } from './job-schemas.ts';
import { whenOf } from './job-request.ts';
import { common, jobStarter, START_FAILURES, type StartDependencies } from './job-commands.ts';
import { answer, failures } from '../../openapi.ts';
import { maxBodyBytes } from '../../promised-bytes.ts';
import { writeHeaders } from '../../schemas.ts';

const response = {
  202: answer('Accepted.', jobAccepted, ['location', 'idempotency-replayed']),
  ...failures(...START_FAILURES),
};

const messageBody = message.extend({ provider, ...timing, ...handling }).meta({ id: 'Message' });
const batchBody = (maxItems: number) =>
  z
    .strictObject({ items: listOf(message, maxItems), provider, deliverAt: timing.deliverAt, ...handling })
    .meta({ id: 'MessageBatch' });

const ADMINS = 'For admins: others get 403, which says how to become one.';

const schemas = (maxItems: number) => ({
  send: {
    ...common,
    operationId: 'sendMessage',
    summary: 'Send a mail, now or later, once or repeatedly',
    description: ADMINS,
    headers: writeHeaders,
    body: messageBody,
    response,
  },
  sendMany: {
    ...common,
    operationId: 'sendMessages',
    summary: 'Send many mails',
    description: `${ADMINS} Each mail has its own outcome, at \`/jobs/{id}/items\`: a refused one does not stop the others.`,
    headers: writeHeaders,
    body: batchBody(maxItems),
    response,
  },
});

export const messageRoutes =
  (deps: StartDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { onStart: onRequest, large } = deps;
    const { send, sendMany } = schemas(deps.jobs.batch.items);
    const start = jobStarter(deps);
    app.addHook('onRequest', mustBeLoggedIn);

    // The limit of batches can be configured below the size of one message.
    const bodyLimit = Math.max(large.bodyLimit, maxBodyBytes(messageBody));
    app.post('/messages', { schema: send, onRequest, ...large, bodyLimit }, async (request, reply) => {
      const { deliverAt, repeat, attempts, backoff, priority, ...payload } = request.body;
      const how = { handling: { attempts, backoff, priority }, ...whenOf({ deliverAt, repeat }) };
      const jobId = await start(request, reply, { type: email, payload, ...how });
      return reply.code(202).send({ status: 'success', data: { jobId } });
    });

    app.post('/messages/batch', { schema: sendMany, onRequest, ...large }, async (request, reply) => {
      const { deliverAt, attempts, backoff, priority, ...payload } = request.body;
      const how = { handling: { attempts, backoff, priority }, ...whenOf({ deliverAt }) };
      const jobId = await start(request, reply, { type: emailBatch, payload, ...how });
      return reply.code(202).send({ status: 'success', data: { jobId } });
    });

    registered();
  };
