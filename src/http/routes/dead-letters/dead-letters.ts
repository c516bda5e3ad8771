import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { deadJobs, type JobView } from '../../../projections/jobs.ts';
import { byKey } from '../../../projections/engine/lists.ts';
import { listOf, opaqueId } from '../../../text.ts';
import { mustBeAdmin } from '../../access.ts';
import { mustBeLoggedIn } from '../../auth.ts';
import { drop, inspect, redrive, redriveMany } from './redrive.ts';
import { deadLetterView, jobAccepted, jobView, payloadField } from '../jobs/job-schemas.ts';
import type { StartDependencies } from '../jobs/job-commands.ts';
import { inPieces } from '../../long-answers.ts';
import { answer, failures } from '../../openapi.ts';
import { markReplay, originOf } from '../../origin.ts';
import { limitQuery, momentKey, momentQuery, nextCursor, pageOf } from '../../paging.ts';
import { done, params, success, writeHeaders } from '../../schemas.ts';

const MAX_JOBS = 1_000;

const common = { tags: ['admin'], security: [{ bearer: [] }] };

const outcome = z
  .strictObject({
    jobId: z.string(),
    redriven: z.boolean(),
    code: z.string().optional().meta({ description: 'Why the job was not redriven.' }),
    message: z.string().optional(),
  })
  .meta({ id: 'Redriven' });

const schemas = {
  list: {
    ...common,
    operationId: 'listDeadLetters',
    summary: 'List the jobs that failed for good, the newest first',
    querystring: z.object({ limit: limitQuery, cursor: momentQuery }),
    response: {
      200: answer('A page of dead letters.', success(z.strictObject({ deadLetters: z.array(jobView), nextCursor }))),
      ...failures(400, 401, 403, 503),
    },
  },
  read: {
    ...common,
    operationId: 'readDeadLetter',
    summary: 'Read the request of a dead job, and why each attempt failed',
    params,
    response: {
      200: answer('The dead letter.', success(z.strictObject({ deadLetter: deadLetterView }))),
      ...failures(401, 403, 404, 503),
    },
  },
  redrive: {
    ...common,
    operationId: 'redriveDeadLetter',
    summary: 'Retry a dead job',
    description:
      'With a corrected payload this starts a new job of the same owner, which names the dead one; the dead one leaves the list.',
    headers: writeHeaders,
    params,
    body: z
      .strictObject({
        payload: payloadField.optional().meta({ description: 'In the form of the job type.' }),
      })
      .nullish()
      .meta({ id: 'Redrive' }),
    response: {
      202: answer('Accepted.', jobAccepted, ['location', 'idempotency-replayed']),
      ...failures(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    },
  },
  redriveMany: {
    ...common,
    operationId: 'redriveDeadLetters',
    summary: 'Retry many dead jobs',
    headers: writeHeaders,
    body: z.strictObject({ jobIds: listOf(opaqueId(), MAX_JOBS) }).meta({ id: 'RedriveMany' }),
    response: {
      202: answer('The outcome of each.', success(z.strictObject({ outcomes: z.array(outcome) }))),
      ...failures(400, 401, 403, 413, 415, 429, 503),
    },
  },
  drop: {
    ...common,
    operationId: 'dropDeadLetter',
    summary: 'Remove a dead job from the list',
    headers: writeHeaders,
    params,
    response: {
      200: answer('Dropped.', done('The dead letter was dropped.'), ['idempotency-replayed']),
      ...failures(400, 401, 403, 404, 409, 422, 503),
    },
  },
};

export const deadLetterRoutes =
  (deps: StartDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { listsOf, idempotencyKeys, publicUrl, onStart: onRequest, large } = deps;
    app.addHook('onRequest', mustBeLoggedIn);
    app.addHook('preHandler', mustBeAdmin);

    app.get('/admin/dead-letters', { schema: schemas.list }, (request, reply) => {
      const { limit, cursor } = request.query;
      const momentOf = ({ finishedAt = '', id }: JobView) => ({ createdAt: finishedAt, id });
      const { first, query } = listsOf(reply);
      const list = byKey<JobView>((limit, last) =>
        deadJobs({ query: last ? query : first }, limit, last ? momentOf(last) : cursor),
      );
      const page = pageOf<JobView>((last) => momentKey(momentOf(last)), limit);
      return reply.sendInPieces(
        inPieces({ content: { status: 'success', data: { deadLetters: [] } }, list, first: 25, page }),
      );
    });

    app.get('/admin/dead-letters/:id', { schema: schemas.read }, async (request) => ({
      status: 'success' as const,
      data: { deadLetter: await inspect(deps, request.params.id) },
    }));

    app.post(
      '/admin/dead-letters/:id/redrive',
      { schema: schemas.redrive, onRequest, ...large },
      async (request, reply) => {
        const origin = originOf(request, idempotencyKeys, request.body ?? undefined);
        const { jobId, ...outcome } = await redrive(deps, request.params.id, origin, {
          payload: request.body?.payload,
        });
        markReplay(reply.code(202).header('location', `${publicUrl}/jobs/${jobId}`), outcome);
        return { status: 'success' as const, data: { jobId } };
      },
    );

    app.post('/admin/dead-letters/redrive', { schema: schemas.redriveMany, onRequest }, async (request, reply) => {
      const origin = originOf(request, idempotencyKeys, request.body);
      const outcomes = await redriveMany(deps, [...new Set(request.body.jobIds)], origin);
      return reply.code(202).send({ status: 'success', data: { outcomes } });
    });

    app.delete('/admin/dead-letters/:id', { schema: schemas.drop }, async (request, reply) => {
      markReplay(reply, await drop(deps, request.params.id, originOf(request, idempotencyKeys)));
      return { status: 'success' as const, message: 'The dead letter was dropped.' };
    });

    registered();
  };
