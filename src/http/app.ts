import { readFileSync } from 'node:fs';
import Fastify, { LogController, type FastifyInstance, type FastifyPluginCallback } from 'fastify';
import type { FastifyPluginAsyncZod, FastifyPluginCallbackZod, ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { newId } from '../events/ids.ts';
import { acceptTokens, callerOf, type TokenOptions, type Tokens } from './auth.ts';
import { answerErrors } from './errors.ts';
import type { Health } from './health.ts';
import type { JobDependencies } from './jobs.ts';
import { acceptJsonBodies } from './json-body.ts';
import { answerMalformed } from './malformed.ts';
import { answerUnrouted } from './methods.ts';
import { nodeServer } from './node-server.ts';
import { observe } from './observe.ts';
import { describeApi } from './openapi.ts';
import type { PlaylistDependencies } from './playlists.ts';
import { type Counters, countRequests, limited, type Rates } from './rate-limits.ts';
import { albumRoutes } from './routes/albums.ts';
import { type AuthenticationDependencies, authenticationRoutes } from './routes/authentications.ts';
import { collaborationRoutes } from './routes/collaborations.ts';
import { type CoverDependencies, coverRoutes } from './routes/covers.ts';
import { deadLetterRoutes } from './routes/dead-letters.ts';
import { downloadRoutes } from './routes/downloads.ts';
import { exportRoutes } from './routes/exports.ts';
import { fileRoutes } from './routes/files.ts';
import { healthRoutes } from './routes/health.ts';
import { jobEventRoutes } from './routes/job-events.ts';
import { jobResultRoutes } from './routes/job-results.ts';
import { jobRoutes } from './routes/jobs.ts';
import { likeRoutes } from './routes/likes.ts';
import { type LogRecordDependencies, logRecordRoutes } from './routes/log-records.ts';
import { messageRoutes } from './routes/messages.ts';
import { playlistRoutes } from './routes/playlists.ts';
import { playlistSongRoutes } from './routes/playlist-songs.ts';
import { providerRoutes } from './routes/providers.ts';
import { refuseWrites } from './read-only.ts';
import { rootRoutes } from './routes/root.ts';
import { songRoutes } from './routes/songs.ts';
import { type UserDependencies, userRoutes } from './routes/users.ts';
import { validatorCompiler } from './validation.ts';

export interface Limits {
  /** Of a JSON body. */
  readonly bodyBytes: number;
  readonly bodyDepth: number;
}

export interface AppDependencies
  extends
    CoverDependencies,
    PlaylistDependencies,
    JobDependencies,
    LogRecordDependencies,
    Omit<UserDependencies, 'rate'>,
    Pick<AuthenticationDependencies, 'sessions'> {
  readonly files: CoverDependencies['files'] & JobDependencies['files'];
  readonly tokens: TokenOptions;
  readonly rates: Rates;
  /** Counts the requests of all processes; without it each counts its own. */
  readonly counters?: Counters;
  /** Addresses or networks of proxies whose `X-Forwarded-For` is believed. */
  readonly trustProxy?: readonly string[];
  readonly health: Health;
  readonly logger: Logger;
  readonly metricsRegistry: Registry;
  readonly limits: Limits;
  /** Follows the log of another installation. */
  readonly readOnly?: boolean;
  /** Whether strangers are to be expected. */
  readonly production: boolean;
}

export type HealthAppDependencies = Pick<AppDependencies, 'health' | 'logger' | 'metricsRegistry'>;

export const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** The API. `startHttp` lets it listen; tests inject. */
export function buildApp(deps: AppDependencies): FastifyInstance {
  const { logger, publicUrl, catalogWrites, production } = deps;
  if (production && catalogWrites === 'open') {
    logger.warn('CATALOG_WRITES is open: anybody who reaches this server can change the catalog');
  }
  const app = bareApp(logger, deps.limits, deps.trustProxy);
  observe(app, deps.metricsRegistry, logger);
  describeApi(app, { version, publicUrl });
  const tokens = acceptTokens(app, deps.tokens);
  registerNamed(app, { health: healthRoutes(deps.health, deps.metricsRegistry) });
  countRequests(app, deps.counters);
  registerNamed(app, { api: apiRoutes(deps, tokens) });
  return app;
}

/** All that is limited together; probes are not. */
const apiRoutes =
  (deps: AppDependencies, tokens: Tokens): FastifyPluginCallback =>
  (api, _options, registered) => {
    const { publicUrl, rates } = deps;
    for (const hook of limited(api, 'default', rates.default)) api.addHook('onRequest', hook);
    if (deps.readOnly) api.addHook('onRequest', refuseWrites);
    const signing = { ...deps, tokens, refreshTokenAge: deps.tokens.refresh.age, rate: rates.login };
    registerNamed(api, {
      root: rootRoutes({ version, publicUrl }),
      users: userRoutes({ ...deps, rate: rates.register }),
      authentications: authenticationRoutes(signing),
      albums: albumRoutes(deps),
      covers: coverRoutes(deps),
      likes: likeRoutes(deps),
      songs: songRoutes(deps),
      playlists: playlistRoutes(deps),
      playlistSongs: playlistSongRoutes(deps),
      collaborations: collaborationRoutes(deps),
      work: workRoutes(deps),
    });
    registered();
  };

/** Jobs, and all that is done by them. */
const workRoutes =
  (deps: AppDependencies): FastifyPluginCallback =>
  (api, _options, registered) => {
    const starting = { ...deps, onStart: limited(api, 'jobs', deps.rates.jobs, callerOf) };
    registerNamed(api, {
      jobs: jobRoutes(starting),
      jobResults: jobResultRoutes(deps),
      jobEvents: jobEventRoutes(deps),
      files: fileRoutes(deps),
      downloads: downloadRoutes(starting),
      messages: messageRoutes(starting),
      exports: exportRoutes(starting),
      deadLetters: deadLetterRoutes(starting),
      providers: providerRoutes(deps),
      ...(deps.appendRecords && { logRecords: logRecordRoutes(deps.appendRecords) }),
    });
    registered();
  };

type Plugin = FastifyPluginCallback | FastifyPluginCallbackZod | FastifyPluginAsyncZod;

/** Fastify looks through every loaded module for the name of a plugin without one: most of an app's start under Jest. */
function registerNamed(api: FastifyInstance, plugins: Record<string, Plugin>): void {
  for (const [name, plugin] of Object.entries(plugins))
    api.register(Object.assign(plugin, { [Symbol.for('fastify.display-name')]: name }));
}

/** The probes alone, for a process without the API. */
export function buildHealthApp({ health, logger, metricsRegistry }: HealthAppDependencies): FastifyInstance {
  const app = bareApp(logger, { bodyBytes: 1_024, bodyDepth: 1 });
  registerNamed(app, { health: healthRoutes(health, metricsRegistry) });
  return app;
}

/** What every route has in common: limits, ids, JSON in and out, errors. */
function bareApp(logger: Logger, limits: Limits, trustProxy: readonly string[] = []) {
  const app = Fastify({
    serverFactory: nodeServer,
    clientErrorHandler: answerMalformed,
    frameworkErrors: (error, request, reply) => answerError(error, request, reply),
    bodyLimit: limits.bodyBytes,
    trustProxy: trustProxy.length > 0 ? [...trustProxy] : false,
    // An id is as long as it likes: the limit is that of the request line.
    routerOptions: { maxParamLength: 65_536 },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers }) => saneId(headers['x-request-id']) ?? newId(),
  }).withTypeProvider<ZodTypeProvider>();
  const answerError = answerErrors(logger);

  app.setValidatorCompiler(validatorCompiler);
  // The schemas of answers are checked by tests: the handlers' answers are ours, and this is the fastest.
  app.setSerializerCompiler(() => JSON.stringify);
  app.setErrorHandler(answerError);
  acceptJsonBodies(app, limits.bodyDepth);
  app.addHook('onRequest', (request, reply, next) => {
    reply.header('x-request-id', request.id);
    next();
  });
  answerUnrouted(app);
  return app;
}

/** A client's own request id is kept when it can be shown, stored and logged as it is. */
const saneId = (id: string | string[] | undefined): string | undefined =>
  typeof id === 'string' && /^[\x21-\x7e]{1,100}$/.test(id) ? id : undefined;
