import { readFileSync } from 'node:fs';
import type { FastifyInstance, FastifyPluginCallback } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Access, LiveAccess } from '../accounts/access.ts';
import { acceptTokens, callerOf, type TokenOptions, type Tokens } from './auth.ts';
import { bareApp, type BodyLimits, registerNamed, type ProxyOptions } from './bare-app.ts';
import { limitLargeBodies } from './body-places.ts';
import type { Health } from './health.ts';
import type { JobDependencies } from './routes/jobs/job-commands.ts';
import { largeOnlyFromAdmins } from './large-bodies.ts';
import { createListsOf, type ListsOf, sendLongAnswers } from './long-answers.ts';
import { observe } from './observe.ts';
import { describeApi } from './openapi.ts';
import type { PlaylistDependencies } from './routes/playlists/playlist-changes.ts';
import { type Counters, countRequests, limited, limitGuesses, type Rates } from './rate-limits.ts';
import { albumRoutes } from './routes/albums/albums.ts';
import { type AuthenticationDependencies, authenticationRoutes } from './routes/accounts/authentications.ts';
import { collaborationRoutes } from './routes/playlists/collaborations.ts';
import { type CoverDependencies, coverRoutes } from './routes/albums/covers.ts';
import { deadLetterRoutes } from './routes/dead-letters/dead-letters.ts';
import { downloadRoutes } from './routes/files/downloads.ts';
import { eventDocRoutes } from './routes/event-docs/event-docs.ts';
import { type EventDependencies, eventRoutes } from './routes/events/events.ts';
import { exportRoutes } from './routes/playlists/exports.ts';
import { fileRoutes } from './routes/files/files.ts';
import { healthRoutes } from './routes/health.ts';
import { jobEventRoutes } from './routes/jobs/job-events.ts';
import { jobResultRoutes } from './routes/jobs/job-results.ts';
import { jobRoutes } from './routes/jobs/jobs.ts';
import { likeRoutes } from './routes/albums/likes.ts';
import { type LogRecordDependencies, logRecordRoutes } from './routes/log-records.ts';
import { messageRoutes } from './routes/jobs/messages.ts';
import { playlistHistoryRoutes } from './routes/playlists/playlist-history.ts';
import { playlistRoutes } from './routes/playlists/playlists.ts';
import { playlistSongRoutes } from './routes/playlists/playlist-songs.ts';
import { providerRoutes } from './routes/providers.ts';
import { registryRoutes } from './routes/registry/registry.ts';
import { refuseWrites } from './read-only.ts';
import { rootRoutes } from './routes/root.ts';
import { songRoutes } from './routes/songs/songs.ts';
import { type UserDependencies, userRoutes } from './routes/accounts/users.ts';

export interface AppDependencies
  extends
    ProxyOptions,
    Omit<CoverDependencies, 'listsOf'>,
    Omit<PlaylistDependencies, 'listsOf'>,
    Omit<JobDependencies, 'listsOf'>,
    LogRecordDependencies,
    Pick<EventDependencies, 'placement'>,
    Omit<UserDependencies, 'rate' | 'guessesOf'>,
    Pick<AuthenticationDependencies, 'sessions'> {
  /** The current roles and locks of accounts, for checking tokens. */
  readonly access: Access & Pick<LiveAccess, 'recheck'>;
  readonly files: CoverDependencies['files'] & JobDependencies['files'];
  readonly tokens: TokenOptions;
  readonly rates: Rates;
  /** First part of the names of topics. */
  readonly namespace: string;
  /** Counts requests across all processes. Without it each process counts its own. */
  readonly counters?: Counters;
  readonly health: Health;
  readonly logger: Logger;
  readonly metricsRegistry: Registry;
  readonly limits: BodyLimits;
  /** The server follows the log of another installation and refuses writes. */
  readonly readOnly?: boolean;
  /** Whether the server is exposed to untrusted clients. */
  readonly production: boolean;
}

export const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Builds the API. `startHttp` makes it listen; tests inject requests. */
export function buildApp(deps: AppDependencies): FastifyInstance {
  const { logger, publicUrl, catalogWrites, production } = deps;
  if (production && catalogWrites === 'open') {
    logger.warn('CATALOG_WRITES is open: every client that reaches this server can change the catalog');
  }
  const app = bareApp(logger, deps.limits, deps);
  observe(app, deps.metricsRegistry, logger);
  describeApi(app, { version, publicUrl });
  const tokens = acceptTokens(app, deps.tokens, deps.access);
  registerNamed(app, { health: healthRoutes(deps.health, deps.metricsRegistry) });
  countRequests(app, deps.counters);
  sendLongAnswers(app);
  limitLargeBodies(app, deps.limits.bodyBytes);
  registerNamed(app, { api: apiRoutes({ ...deps, listsOf: createListsOf(deps.database) }, tokens) });
  return app;
}

type RouteDependencies = AppDependencies & { readonly listsOf: ListsOf };

/** The routes that share the default rate limit. Probes are not limited. */
const apiRoutes =
  (deps: RouteDependencies, tokens: Tokens): FastifyPluginCallback =>
  (api, _options, registered) => {
    const { publicUrl, rates } = deps;
    for (const hook of limited(api, 'default', rates.default)) api.addHook('onRequest', hook);
    if (deps.readOnly) api.addHook('onRequest', refuseWrites);
    const guessesOf = limitGuesses(api, rates.failures);
    // This process applies a logout at once; other processes apply it within a second.
    const recheckAccess = () => deps.access.recheck().catch(() => undefined);
    const signing = { ...deps, tokens, refreshTokenAge: deps.tokens.refresh.age, rate: rates.login };
    registerNamed(api, {
      root: rootRoutes({ version, publicUrl }),
      users: userRoutes({ ...deps, guessesOf, rate: rates.register }),
      authentications: authenticationRoutes({ ...signing, guessesOf, recheckAccess }),
      albums: albumRoutes(deps),
      covers: coverRoutes(deps),
      likes: likeRoutes(deps),
      songs: songRoutes(deps),
      playlists: playlistRoutes(deps),
      playlistSongs: playlistSongRoutes(deps),
      playlistHistory: playlistHistoryRoutes(deps),
      collaborations: collaborationRoutes(deps),
      work: workRoutes(deps),
      registry: registryRoutes(deps),
      eventDocs: eventDocRoutes({ version, publicUrl, namespace: deps.namespace }),
    });
    registered();
  };

/** Jobs, and what they produce. */
const workRoutes =
  (deps: RouteDependencies): FastifyPluginCallback =>
  (api, _options, registered) => {
    const preParsing = largeOnlyFromAdmins(deps.limits.bodyBytes);
    const starting = {
      ...deps,
      onStart: limited(api, 'jobs', deps.rates.jobs, callerOf),
      large: { bodyLimit: deps.jobs.batch.bytes, preParsing },
    };
    registerNamed(api, {
      jobs: jobRoutes(starting),
      jobResults: jobResultRoutes(deps),
      jobEvents: jobEventRoutes(deps),
      files: fileRoutes(deps),
      downloads: downloadRoutes(starting),
      messages: messageRoutes(starting),
      exports: exportRoutes(starting),
      deadLetters: deadLetterRoutes(starting),
      events: eventRoutes(deps),
      providers: providerRoutes(deps),
      ...(deps.appendRecords && { logRecords: logRecordRoutes(deps.appendRecords, preParsing) }),
    });
    registered();
  };
