import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { collectDefaultMetrics, type Registry } from 'prom-client';
import { createAccounts } from './accounts/accounts.ts';
import { createPasswords } from './accounts/passwords.ts';
import { createSessions } from './accounts/sessions.ts';
import { connectRedis, type RedisConnection } from './cache/redis.ts';
import { type AppenderLimits, createAppender } from './commands/appender.ts';
import { type Commands, createCommands } from './commands/commands.ts';
import { createPostgresStreams } from './commands/postgres-streams.ts';
import { createVerdicts } from './commands/verdicts.ts';
import type { Config } from './config.ts';
import { newId } from './events/ids.ts';
import { noticesOf, type Word, wordOf } from './events/word.ts';
import type { Faults } from './faults.ts';
import type { Files } from './files/files.ts';
import { openFiles } from './files/providers.ts';
import { sweepHourly } from './files/sweep.ts';
import { buildApp, buildHealthApp } from './http/app.ts';
import { createHealth, type Health, type Probe } from './http/health.ts';
import { COVERS } from './http/routes/covers.ts';
import { rateOf } from './http/rate-limits.ts';
import { startHttp } from './http/server.ts';
import { type KeyName, keysOf } from './keys.ts';
import type { Lifecycle } from './lifecycle.ts';
import { readIdentity } from './log/identity.ts';
import { initLog } from './log/init.ts';
import { checkLog } from './log/topics.ts';
import { createNotifier, listen } from './postgres/listen.ts';
import { openRows } from './postgres/rows.ts';
import { type Feeds, startFeeds } from './projections/feeds.ts';
import { coversAmong } from './projections/albums.ts';
import { tellsAll } from './projections/guard.ts';
import { observeProjector } from './projections/observe.ts';
import { projections, READ_VERSION } from './projections/projections.ts';
import { openReadModel, type ReadModel } from './projections/read-model.ts';
import {
  databaseProbe,
  feedProbe,
  lagProbe,
  logProbe,
  projectorLife,
  quarantineProbe,
  readModelProbe,
  timed,
} from './probes.ts';
import { openResources, type Resources } from './resources.ts';

export interface RolesOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly lifecycle: Lifecycle;
  readonly registry: Registry;
  readonly faults: Faults;
  /** Something that this process cannot live without is gone for good. */
  readonly crash: (error: Error) => void;
}

interface Context extends RolesOptions {
  readonly resources: Resources;
  /** Tells whoever waits for a verdict that something was committed. */
  readonly commits: Commits;
  readonly probes: Record<string, Probe>;
}

/** How word of commits gets from the projector to the waiting handlers: in process, and by NOTIFY to other processes. */
interface Commits {
  announce(word: Word): void;
  listener: (word: Word) => void;
}

/** Starts what the configuration names, in order. Everything started is stopped by the lifecycle, in reverse. */
export async function startRoles(options: RolesOptions): Promise<void> {
  const { config, logger, lifecycle, registry } = options;
  const has = (role: Config['ROLES'][number]) => config.ROLES.includes(role);
  collectDefaultMetrics({ register: registry });
  const resources = await openResources({ config, logger, lifecycle, as: 'server' });
  await checkOrInit(resources, config, logger);
  const context: Context = { ...options, resources, commits: createCommits(resources, config), probes: {} };
  context.probes.database = databaseProbe(resources);
  context.probes.log = logProbe(resources);
  const redis = (config.REDIS_URL ?? config.REDIS_SERVER) ? addRedis(context) : undefined;
  const feeds = has('projector') ? await addProjector(context) : undefined;
  if (feeds) context.probes.projector = feedProbe(feeds);
  const alive = () => (feeds ? projectorLife(feeds) : { ok: true, detail: 'ok' });
  const reads = has('api') ? addReads(context) : undefined;
  const files = reads && (await addFiles(context, reads));
  // It looks at the probes that are there by now.
  const health = createHealth({ probes: context.probes, alive, logger });
  if (reads && files) await addApi(context, health, { reads, files, redis });
  else if (config.HEALTH_PORT !== undefined) await addHealth(context, health, config.HEALTH_PORT);
}

/** An embedded log is made at the first start; any other is made by `openmusic log init` and only checked here. */
async function checkOrInit({ log, placement, admin }: Resources, config: Config, logger: Logger): Promise<void> {
  if (config.KAFKA_BROKERS) await checkLog(log, placement, await readIdentity(admin));
  else await initLog({ log, placement, database: admin });
  const { durable, why } = await log.durability(placement.topics);
  logger[durable ? 'info' : 'warn'](`log: ${why}`);
}

const channelOf = ({ NAMESPACE }: Config) => `${NAMESPACE} commits`;

function createCommits({ admin }: Resources, config: Config): Commits {
  const notify = config.KAFKA_BROKERS ? createNotifier(admin, channelOf(config)) : undefined;
  const commits: Commits = {
    listener: () => undefined,
    announce(word) {
      commits.listener(word);
      notify?.(noticesOf(word));
    },
  };
  return commits;
}

function addRedis({ config, lifecycle, logger, probes }: Context): RedisConnection {
  const redis = lifecycle.add(
    'cache',
    connectRedis({
      url: config.REDIS_URL,
      host: config.REDIS_SERVER,
      port: config.REDIS_PORT,
      password: config.REDIS_PASSWORD,
      tls: config.REDIS_TLS === 'on',
      log: (level, message) => logger[level](message),
    }),
  );
  probes.cache = { needed: 'at-start', check: () => redis.check() };
  return redis;
}

async function addProjector({
  config,
  logger,
  lifecycle,
  registry,
  resources,
  commits,
  faults,
  crash,
}: Context): Promise<Feeds> {
  const { log, placement, admin, connection } = resources;
  const { durable } = await log.durability(placement.topics);
  const synchronousCommit = config.PROJECTOR_COMMIT === 'sync' || (config.PROJECTOR_COMMIT === 'auto' && !durable);
  const feeds = await startFeeds({
    ...{ connection, log, placement, projections, logger, admin, version: READ_VERSION, synchronousCommit, faults },
    observer: observeProjector(logger, registry, commits.announce),
    onCrash: crash,
  });
  return lifecycle.add('projector', feeds);
}

function addReads({ config, lifecycle, logger, resources, probes }: Context): ReadModel {
  const { connection, admin, log, placement } = resources;
  const reads = openReadModel({
    ...{ connection, namespace: config.NAMESPACE, version: READ_VERSION, max: 10, admin },
    ends: () => log.ends(placement.all),
    report: (message) => logger.warn(message),
  });
  Object.assign(probes, {
    reads: readModelProbe(reads),
    lag: lagProbe(resources, reads),
    quarantine: quarantineProbe(reads),
  });
  return lifecycle.add('read model', reads);
}

function addCommands({ config, lifecycle, logger, resources, commits, faults }: Context, reads: ReadModel): Commands {
  const { log, placement, connection } = resources;
  const streams = createPostgresStreams(reads, config.NAMESPACE);
  const verdicts = lifecycle.add('verdicts', createVerdicts({ streams, pollMs: 150 }));
  commits.listener = verdicts.hear;
  if (config.KAFKA_BROKERS) {
    const report = (message: string) => logger.warn(message);
    lifecycle.add(
      'listener',
      listen({ connection, channel: channelOf(config), onNotice: (notice) => verdicts.hear(wordOf(notice)), report }),
    );
  }
  return createCommands({
    ...{ streams, appender: createAppender(log, appenderLimits(config)), verdicts, placement, newId, now: Date.now },
    faults,
    pause: (retry) => delay(Math.random() * Math.min(50, 5 * 2 ** retry)),
    limits: {
      verdictWaitMs: config.VERDICT_WAIT_SECONDS * 1_000,
      retries: config.COMMAND_RETRIES,
      streams: config.STREAMS_REMEMBERED,
    },
  });
}

const appenderLimits = ({ APPEND_IN_FLIGHT, APPEND_RECORDS, APPEND_BYTES }: Config): AppenderLimits => ({
  inFlight: APPEND_IN_FLIGHT,
  records: APPEND_RECORDS,
  partitionBytes: APPEND_BYTES,
});

interface ApiParts {
  readonly reads: ReadModel;
  readonly files: Files;
  readonly redis: RedisConnection | undefined;
}

async function addApi(context: Context, health: Health, { reads, files, redis }: ApiParts): Promise<void> {
  const { config, lifecycle, logger, registry } = context;
  const app = buildApp({
    ...{ commands: addCommands(context, reads), database: reads, publicUrl: config.publicUrl, health, logger },
    ...(await openAccounts(context)),
    files,
    playlistDuplicates: config.PLAYLIST_DUPLICATES,
    rates: {
      login: rateOf(config.RATE_LOGIN),
      register: rateOf(config.RATE_REGISTER),
      default: rateOf(config.RATE_DEFAULT),
    },
    counters: redis && { redis: redis.client, namespace: config.NAMESPACE },
    trustProxy: config.TRUST_PROXY,
    ...keysFor(config, await keysOf(config, path.resolve(config.DATA_DIR))),
    metricsRegistry: registry,
    catalogWrites: config.CATALOG_WRITES,
    limits: { bodyBytes: config.BODY_BYTES, bodyDepth: config.BODY_DEPTH },
    production: config.NODE_ENV === 'production',
  });
  const server = await startHttp(app, { host: config.HOST, port: config.PORT });
  lifecycle.add('http', { stop: () => (health.leave(), server.stop()) });
  logger.info(`listening on ${server.url}`);
  await reads.ready();
  logger.info(`OpenMusic is ready: ${config.publicUrl} (API page: ${config.publicUrl}/docs)`);
}

/** Where covers are kept, and what clears away those that no album has. */
async function addFiles({ config, lifecycle, logger, resources, probes }: Context, reads: ReadModel): Promise<Files> {
  const { log, placement } = resources;
  const files = lifecycle.add('files', await openFiles(config));
  probes.files = { needed: 'never', check: timed(() => files.check()) };
  const named = async (names: readonly string[]) =>
    (await tellsAll(reads, await log.ends(placement.all))) ? coversAmong(reads, names) : undefined;
  const sweeper = sweepHourly({ files, prefix: COVERS, named, now: Date.now }, (level, message) =>
    logger[level](message),
  );
  lifecycle.add('sweeper', sweeper);
  return files;
}

const keysFor = (config: Config, keys: Record<KeyName, string>) => ({
  idempotencyKeys: { current: keys.IDEMPOTENCY_HASH_KEY, previous: config.IDEMPOTENCY_HASH_KEY_PREVIOUS },
  tokens: {
    access: {
      key: keys.ACCESS_TOKEN_KEY,
      previousKey: config.ACCESS_TOKEN_KEY_PREVIOUS,
      age: config.ACCESS_TOKEN_AGE,
    },
    refresh: {
      key: keys.REFRESH_TOKEN_KEY,
      previousKey: config.REFRESH_TOKEN_KEY_PREVIOUS,
      age: config.REFRESH_TOKEN_AGE,
    },
  },
});

async function openAccounts({ config, lifecycle, resources }: Context) {
  const searchPath = [config.NAMESPACE, 'public'];
  const rows = await openRows(resources.connection, { name: 'openmusic accounts', max: 4, searchPath });
  lifecycle.add('accounts', rows);
  return { accounts: createAccounts(rows, createPasswords()), sessions: createSessions(rows) };
}

async function addHealth(
  { config, lifecycle, logger, registry }: Context,
  health: Health,
  port: number,
): Promise<void> {
  const server = await startHttp(buildHealthApp({ health, logger, metricsRegistry: registry }), {
    host: config.HOST,
    port,
  });
  lifecycle.add('health', server);
  logger.info(`probes on ${server.url}`);
}
