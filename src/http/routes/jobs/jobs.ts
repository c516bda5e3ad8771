import type { FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { CommandOutcome } from '../../../commands/command.ts';
import { jobTypeOf, jobTypes } from '../../../jobs/job-types.ts';
import { createRights, mustBeDoable } from '../../../jobs/owner-rights.ts';
import { JOB_STATES, jobsOf, type JobView } from '../../../projections/jobs.ts';
import { byKey } from '../../../projections/engine/lists.ts';
import { storable } from '../../../text.ts';
import { isAdmin } from '../../access.ts';
import { callerOf, mustBeLoggedIn } from '../../auth.ts';
import { mustNotBeRedriven } from '../dead-letters/redrive.ts';
import { jobAccepted, jobView, repeat } from './job-schemas.ts';
import { jobBody, jobRequestOf } from './job-request.ts';
import { inPieces } from '../../long-answers.ts';
import {
  common,
  jobStarter,
  sendJob,
  START_FAILURES,
  type StartDependencies,
  streamOf,
  visibleJob,
} from './job-commands.ts';
import { answer, failures } from '../../openapi.ts';
import { markReplay, originOf } from '../../origin.ts';
import { limitQuery, momentKey, momentQuery, nextCursor, pageOf } from '../../paging.ts';
import { changeRepeat } from './repeats.ts';
import { done, params, readHeaders, success, writeHeaders } from '../../schemas.ts';

const listQuery = z.object({
  state: z.enum(JOB_STATES, { error: `must be one of ${JOB_STATES.join(', ')}` }).optional(),
  type: storable(100).optional(),
  limit: limitQuery,
  cursor: momentQuery,
});

const retryQuery = z.object({
  failedOnly: z
    .enum(['true', 'false'], { error: 'must be true or false' })
    .optional()
    .meta({ description: 'Retries only the failed items; also of a batch that has succeeded otherwise.' }),
});

const forAdmins = jobTypes.filter(({ access }) => access === 'admins').map(({ name }) => `\`${name}\``);

export const jobSchemas = {
  start: {
    ...common,
    operationId: 'startJob',
    summary: 'Start a job',
    description:
      'Accepted at once and done in the background, with the rights that its owner has then: a job of a locked account dies ' +
      '(`OWNER_LOCKED`), and so does an admin’s job whose owner is no longer an admin (`OWNER_NO_ADMIN`); a repeating job ' +
      `is cancelled at its next time. Only admins may start ${forAdmins.join(', ')}: others get 403, which says how to become one.`,
    headers: writeHeaders,
    body: jobBody,
    response: {
      202: answer('Accepted.', jobAccepted, ['location', 'idempotency-replayed']),
      ...failures(...START_FAILURES, 404),
    },
  },
  list: {
    ...common,
    operationId: 'listJobs',
    summary: 'List own jobs, the newest first',
    querystring: listQuery,
    response: {
      200: answer('A page of jobs.', success(z.strictObject({ jobs: z.array(jobView), nextCursor }))),
      ...failures(400, 401, 503),
    },
  },
  read: {
    ...common,
    operationId: 'readJob',
    summary: 'Read a job and its progress',
    headers: readHeaders,
    params,
    response: {
      200: answer('The job.', success(z.strictObject({ job: jobView })), ['etag', 'x-data-source']),
      304: z.null().meta({ description: 'The client has it already.' }),
      ...failures(401, 404, 503),
    },
  },
  cancel: {
    ...common,
    operationId: 'cancelJob',
    summary: 'Cancel a job, even while it runs',
    headers: writeHeaders,
    params,
    response: {
      200: answer('Cancelled.', done('The job was cancelled.'), ['idempotency-replayed']),
      ...failures(400, 401, 404, 409, 422, 503),
    },
  },
  change: {
    ...common,
    operationId: 'changeJob',
    summary: 'Change or prolong the repeat of a job',
    description:
      'Fields that are not given keep their value, except for the end: a user’s job repeats for at most another year and ' +
      'another 1,000 times, also when an admin changes it.',
    headers: writeHeaders,
    params,
    body: z.strictObject({ repeat: repeat.partial() }).meta({ id: 'JobChange' }),
    response: {
      200: answer('Changed.', done('The job was changed.'), ['idempotency-replayed']),
      ...failures(400, 401, 404, 409, 412, 413, 415, 422, 429, 503),
    },
  },
  retry: {
    ...common,
    operationId: 'retryJob',
    summary: 'Retry a dead or cancelled job',
    description: '403 when its owner is locked, or when the job is for admins and its owner is no longer one.',
    headers: writeHeaders,
    params,
    querystring: retryQuery,
    response: {
      202: answer('Accepted.', jobAccepted, ['location', 'idempotency-replayed']),
      ...failures(400, 401, 403, 404, 409, 422, 429, 503),
    },
  },
};

export const jobRoutes =
  (deps: StartDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { commands, listsOf, idempotencyKeys, publicUrl, onStart: onRequest, large } = deps;
    const { items } = deps.jobs.batch;
    const start = jobStarter(deps);
    app.addHook('onRequest', mustBeLoggedIn);

    app.post('/jobs', { schema: jobSchemas.start, onRequest, ...large }, async (request, reply) => {
      const jobId = await start(request, reply, jobRequestOf(request.body, items, ['payload']));
      return reply.code(202).send({ status: 'success', data: { jobId } });
    });

    app.get('/jobs', { schema: jobSchemas.list }, (request, reply) => {
      const { limit, cursor, ...filters } = request.query;
      const owner = callerOf(request);
      const { first, query } = listsOf(reply);
      const list = byKey<JobView>((limit, last) =>
        jobsOf({ query: last ? query : first }, { owner, ...filters, limit, after: last ?? cursor }),
      );
      const content = { status: 'success', data: { jobs: [] } };
      return reply.sendInPieces(inPieces({ content, list, first: 25, page: pageOf<JobView>(momentKey, limit) }));
    });

    app.get('/jobs/:id', { schema: jobSchemas.read }, (request, reply) =>
      sendJob(deps, request, reply, request.params.id),
    );

    app.delete('/jobs/:id', { schema: jobSchemas.cancel }, async (request, reply) => {
      const stream = streamOf(request.params.id);
      const command = { type: 'CancelJob', actor: callerOf(request), isAdmin: isAdmin(request) } as const;
      markReplay(reply, await commands.job({ stream, command, origin: originOf(request, idempotencyKeys) }));
      return { status: 'success' as const, message: 'The job was cancelled.' };
    });

    app.patch('/jobs/:id', { schema: jobSchemas.change, onRequest }, async (request, reply) => {
      const origin = originOf(request, idempotencyKeys, request.body);
      markReplay(reply, await changeRepeat(deps, request, request.body.repeat, origin));
      return { status: 'success' as const, message: 'The job was changed.' };
    });

    const retry = jobRetrier(deps);
    app.post('/jobs/:id/retry', { schema: jobSchemas.retry, onRequest }, async (request, reply) => {
      const jobId = streamOf(request.params.id);
      markReplay(reply, await retry(request, jobId, request.query.failedOnly === 'true'));
      reply.code(202).header('location', `${publicUrl}/jobs/${jobId}`);
      return { status: 'success' as const, data: { jobId } };
    });

    registered();
  };

/** Retries dead and cancelled jobs, with the rights that their owner has now. */
function jobRetrier({ commands, database, idempotencyKeys, jobs }: StartDependencies) {
  const rightsOf = createRights(jobs.tables);
  return (request: FastifyRequest, jobId: string, failedOnly: boolean): Promise<CommandOutcome> => {
    const command = { type: 'RetryJob', failedOnly, actor: callerOf(request), isAdmin: isAdmin(request) } as const;
    // The query is part of the command, so it is hashed like a body.
    const origin = originOf(request, idempotencyKeys, { failedOnly });
    const context = async (version: number) => {
      const { job, ownerId } = await visibleJob(database, request, jobId);
      mustBeDoable(jobTypeOf(job.type), await rightsOf(ownerId));
      await mustNotBeRedriven(database, jobId, version);
      return undefined;
    };
    const prepare = async () => {
      const { ownerId, version } = await visibleJob(database, request, jobId);
      await jobs.mustHaveRoom(ownerId, { jobId, version });
      return command;
    };
    return commands.job({ stream: jobId, command: prepare, origin, context });
  };
}
