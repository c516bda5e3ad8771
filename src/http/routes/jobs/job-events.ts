import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { isOver } from '../../../projections/jobs.ts';
import type { Access } from '../../../accounts/access.ts';
import { createPlaces } from '../../../concurrency/places.ts';
import { mustBeLoggedIn, onAccessChange } from '../../auth.ts';
import { createJobWatcher } from './job-watcher.ts';
import { common, type JobDependencies, visibleJob } from './job-commands.ts';
import { EVENT_STREAM } from '../../observe.ts';
import { failures } from '../../openapi.ts';
import { accountClaim, placeFor, tooManyAtOnce } from '../../places.ts';
import { params } from '../../schemas.ts';

const headers = z.object({
  'last-event-id': z
    .string()
    .refine((id) => /^(?:0|[1-9]\d{0,9})$/.test(id) && Number(id) < 2 ** 31, 'must be the id of an event')
    .optional()
    .meta({ maxLength: 10, description: 'Id of the last event that the client has: only later events are sent.' }),
});

/** Typed as unknown, because the handler sends a stream and returns no value of this schema. */
const answers: unknown = {
  200: { description: 'The events.', content: { [EVENT_STREAM]: { schema: z.string() } } },
  204: z.null().meta({ description: 'The client has all events, and the job is over.' }),
  ...failures(400, 401, 404, 503),
};

const schema = {
  ...common,
  operationId: 'followJob',
  summary: 'Follow a job',
  description:
    'Server-sent events, all named `state`: state, progress and attempt after each event of the job. Ends when the ' +
    'job is over. 204 tells a client that reconnects that there will be no more events.',
  headers,
  params,
  response: answers,
};

/** Keeps caches and proxies from buffering events. */
const UNBUFFERED = {
  'content-type': EVENT_STREAM,
  'cache-control': 'private, no-cache, no-transform',
  'x-accel-buffering': 'no',
};

/** Concurrent followers, of one account and in all. Each makes every poll of the database a little more expensive. */
const FOLLOWED = {
  each: 50,
  all: 1_000,
  waiting: 0,
  waitMs: 0,
  refusal: tooManyAtOnce('Too many jobs are being followed at once.'),
};

export const jobEventRoutes =
  ({ database, jobs, access }: JobDependencies & { readonly access: Access }): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const places = createPlaces(FOLLOWED);
    const watcher = createJobWatcher({ database, subscribe: jobs.commits.subscribe });
    // Runs before the server waits for its requests, because event streams do not end by themselves.
    app.addHook('preClose', (closing) => {
      watcher.stop();
      closing();
    });
    app.addHook('onRequest', mustBeLoggedIn);

    // A HEAD request would stay open as long as a GET.
    app.get('/jobs/:id/events', { schema, exposeHeadRoute: false }, async (request, reply) => {
      const { version, job } = await visibleJob(database, request, request.params.id);
      const after = Number(request.headers['last-event-id'] ?? 0);
      if (isOver(job.state) && after >= version) return reply.code(204).send();
      await placeFor(places, accountClaim(reply));
      const stream = watcher.watch(job.id, after);
      stream.once(
        'close',
        onAccessChange(request, access, () => watcher.end(stream)),
      );
      return reply.headers(UNBUFFERED).send(stream);
    });

    registered();
  };
