import { pipeline, Readable } from 'node:stream';
import { constants, createGzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest, preHandlerHookHandler } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Access } from '../../../accounts/access.ts';
import { createPlaces } from '../../../concurrency/places.ts';
import { sleep } from '../../../concurrency/sleep.ts';
import { WakeSignal } from '../../../concurrency/wake-signal.ts';
import { AppError, forbidden, unavailable } from '../../../errors.ts';
import { type FeedOptions, type Offsets, projectedOffsets, readFeed } from '../../../event-store/feed.ts';
import { publishedEvent } from '../../../event-store/published-event.ts';
import { subjectOf } from '../../../events/codec.ts';
import { EVENT_TOPICS, type Placement, topicOf } from '../../../events/placement.ts';
import { readIdentity } from '../../../log/identity.ts';
import type { Database } from '../../../postgres/pool.ts';
import { accepts, acceptsGzip } from '../../accept.ts';
import { mustBeLoggedIn, onAccessChange } from '../../auth.ts';
import { EVENT_STREAM } from '../../observe.ts';
import { failures } from '../../openapi.ts';
import { accountClaim, placeFor, tooManyAtOnce } from '../../places.ts';
import { parsePosition, positionOf, tagOf } from './feed-position.ts';

export interface EventDependencies {
  readonly database: Database;
  readonly placement: Placement;
  readonly access: Access;
  readonly jobs: { readonly commits: { subscribe(listener: () => void): () => void } };
}

const NDJSON = 'application/x-ndjson';
const POSITION_LENGTH = 4_000;
const MAX_LIMIT = 999_999_999;

const position = z.string().max(POSITION_LENGTH);
const limit = z
  .string()
  .regex(/^[1-9]\d{0,8}$/, `must be a number from 1 to ${MAX_LIMIT}`)
  .transform(Number)
  .optional()
  .meta({ type: 'integer', minimum: 1, maximum: MAX_LIMIT, description: 'The answer ends after so many events.' });

const querystring = z.object({
  category: z.enum(EVENT_TOPICS).optional().meta({ description: 'Events of one topic of the log.' }),
  type: z
    .string()
    .max(100)
    .regex(/^[A-Za-z.]+$/, 'must be the name of an event')
    .optional()
    .meta({ description: 'Events of one type: `AlbumCreated` or `openmusic.AlbumCreated`.' }),
  stream: z.string().min(1).max(255).optional().meta({ description: 'Events of one stream: the id of the thing.' }),
  from: position.optional().meta({ description: 'A position that an earlier answer gave: later events are sent.' }),
  limit,
});

const headers = z.object({
  'last-event-id': position.optional().meta({ description: 'The same as `from`, and takes precedence over it.' }),
});

/** Typed as unknown, because the handler sends a stream and returns no value of this schema. */
const answers: unknown = {
  200: {
    description: 'The events.',
    content: { [NDJSON]: { schema: z.string() }, [EVENT_STREAM]: { schema: z.string() } },
  },
  ...failures(400, 401, 403, 503),
};

const schema = {
  tags: ['admin'],
  security: [{ bearer: [] }],
  operationId: 'readEvents',
  summary: 'Read the accepted events of the log',
  description:
    'For the roles `analytics` and `admin`. A structured CloudEvent per line, as in the published topics, with its `position`; ends ' +
    'where the log ended at the request. With `Accept: text/event-stream` the same as server-sent events, which go on: the id of each is ' +
    'its position. Events of one partition come in the order of the log. Compressed with `Accept-Encoding: gzip`.',
  querystring,
  headers,
  response: answers,
};

/** Concurrent feeds of one account and in all. Each holds one page of events in memory. */
const FEEDS = {
  each: 8,
  all: 64,
  waiting: 0,
  waitMs: 0,
  refusal: tooManyAtOnce('Too many event feeds are being read at once.'),
};

const mustReadEvents: preHandlerHookHandler = ({ account }, _reply, next) => {
  if (account?.role === 'analytics' || account?.role === 'admin') next();
  else
    next(
      forbidden(
        'Only accounts with the role analytics or admin may read events. An operator grants it with: openmusic accounts grant <username> analytics',
      ),
    );
};

export const eventRoutes =
  (deps: EventDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const places = createPlaces(FEEDS);
    const closing = new AbortController();
    // Runs before the server waits for its requests, because feeds that follow do not end by themselves.
    app.addHook('preClose', (done) => {
      closing.abort();
      done();
    });
    app.addHook('onRequest', mustBeLoggedIn);

    // A HEAD request would stay open as long as a GET.
    app.get('/events', { schema, exposeHeadRoute: false, preHandler: mustReadEvents }, async (request, reply) => {
      const { database } = deps;
      const follows = accepts(request.headers.accept, EVENT_STREAM);
      const tag = tagOf((await readIdentity(database))?.incarnation ?? '');
      const options = feedOf(deps, request, tag);
      await placeFor(places, accountClaim(reply));
      const ended = AbortSignal.any([closing.signal, lostAccess(request, reply, deps.access)]);
      const texts = follows ? following(deps, options, tag, ended) : lines(options, tag, ended);
      return sendFeed(request, reply, texts, follows ? EVENT_STREAM : NDJSON);
    });

    registered();
  };

type Query = z.output<typeof querystring>;

function feedOf({ database, placement }: EventDependencies, request: FastifyRequest, tag: string) {
  const { category, type, stream, limit: most, from } = request.query as Query;
  const { 'last-event-id': after = from } = request.headers as z.output<typeof headers>;
  const topic = category && topicOf(placement.namespace, category);
  const start = after === undefined ? placement.all.map(() => 0) : parsePosition(after, tag, placement.all.length);
  if (!start) {
    throw new AppError('rejected', 'POSITION_INVALID', 'This is no position of this log. Begin again without it.');
  }
  return {
    database,
    partitions: placement.all,
    from: start,
    limit: most,
    stream,
    type: type === undefined || type.includes('.') ? type : subjectOf(type),
    isWanted: (where) =>
      (topic === undefined || where.topic === topic) && (stream === undefined || placement.belongs(stream, where)),
  } satisfies FeedOptions;
}

/** Fires when the account loses its role, or when the answer was sent. */
function lostAccess(request: FastifyRequest, { raw }: FastifyReply, access: Access): AbortSignal {
  const ended = new AbortController();
  const unsubscribe = onAccessChange(request, access, () => ended.abort());
  raw.once('close', () => {
    unsubscribe();
    ended.abort();
  });
  return ended.signal;
}

/** NDJSON up to the end of the log as of the request. Cut off, and not ended, when the account loses its role. */
async function* lines(options: FeedOptions, tag: string, signal: AbortSignal): AsyncGenerator<string, void> {
  const until: Offsets = await projectedOffsets(options.database, options.partitions);
  for await (const { events } of readFeed({ ...options, until }, positionOf(tag))) {
    let text = '';
    for (const { event, position: after } of events) text += `${publishedEvent(event, after)}\n`;
    yield text;
    if (signal.aborted) throw unavailable('FEED_ENDED', 'The feed was ended. Go on from the last position.');
  }
}

const POLL_MS = 500;
/** Commits of this time are read together. */
const REST_MS = 50;
const HEARTBEAT_MS = 15_000;

/** Server-sent events, until the signal fires. A heartbeat carries the position, so that a filter without events resumes cheaply. */
async function* following(
  { jobs }: EventDependencies,
  options: FeedOptions,
  tag: string,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  const wake = new WakeSignal();
  const unsubscribe = jobs.commits.subscribe(() => wake.notify());
  signal.addEventListener('abort', () => wake.notify());
  let sentAt = Date.now();
  try {
    yield 'retry: 2000\n\n';
    for await (const { events, position: reached } of readFeed(options, positionOf(tag))) {
      if (signal.aborted) return;
      let text = '';
      for (const { event, position: after } of events) text += `id: ${after}\ndata: ${publishedEvent(event)}\n\n`;
      if (text === '' && Date.now() - sentAt >= HEARTBEAT_MS) text = `id: ${reached}\n\n`;
      if (text !== '') {
        sentAt = Date.now();
        yield text;
      }
      if (events.length === 0) await wake.wait(POLL_MS);
      else if (events.length < options.partitions.length) await sleep(REST_MS, signal);
    }
  } finally {
    unsubscribe();
  }
}

function sendFeed(request: FastifyRequest, reply: FastifyReply, texts: AsyncGenerator<string, void>, type: string) {
  reply.headers({
    'content-type': type,
    'cache-control': 'private, no-cache',
    'x-accel-buffering': 'no',
    vary: 'accept, accept-encoding',
  });
  const body = Readable.from(texts, { highWaterMark: 1 });
  if (!acceptsGzip(request.headers['accept-encoding'])) return reply.send(body);
  // Each page is flushed, because a client that follows waits for it. An error destroys both streams.
  const packed = pipeline(body, createGzip({ flush: constants.Z_SYNC_FLUSH }), () => undefined);
  return reply.header('content-encoding', 'gzip').send(packed);
}
