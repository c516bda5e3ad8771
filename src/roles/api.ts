import { hash } from 'node:crypto';
import path from 'node:path';
import { followAccess, type LiveAccess } from '../accounts/access.ts';
import { accessChannel } from '../accounts/access-changes.ts';
import { createAccounts } from '../accounts/accounts.ts';
import { createPasswords } from '../accounts/passwords.ts';
import { createSessions } from '../accounts/sessions.ts';
import { createResponseCache } from '../cache/response-cache.ts';
import { type Config, dummySecondsOf } from '../config.ts';
import { reasonOf } from '../errors.ts';
import { topicOf } from '../events/placement.ts';
import { hourly } from '../lifecycle.ts';
import { sweepHourly } from '../providers/files/sweep.ts';
import { buildApp, version } from '../http/app.ts';
import { createAccept } from '../jobs/accept.ts';
import { JOB_FILE_PREFIXES } from '../jobs/job-types.ts';
import type { Health } from '../http/health.ts';
import { rateOf } from '../http/rate-limits.ts';
import { COVERS } from '../http/routes/albums/covers.ts';
import { startHttp } from '../http/server.ts';
import { type KeyName, keysOf } from '../keys.ts';
import type { Append } from '../log/event-log.ts';
import { listen } from '../postgres/listen.ts';
import { openDatabase } from '../postgres/pool.ts';
import { openRows } from '../postgres/rows.ts';
import { coversAmong } from '../projections/albums.ts';
import { tellsAll } from '../projections/generations/guard.ts';
import { throttled } from '../concurrency/throttle.ts';
import { type Context, pausesOf, quotaOf, storedFilesOf } from './context.ts';
import type { CacheService } from './cache.ts';
import type { Services } from './services.ts';

export interface ApiParts {
  readonly services: Services;
  readonly cache: CacheService;
  readonly health: Health;
}

/** Serves the API, and returns when it can answer reads. */
export async function startApi(context: Context, parts: ApiParts): Promise<void> {
  const { config, lifecycle, logger } = context;
  const { services, health } = parts;
  if (config.READ_ONLY !== 'on') addSweepers(context, services);
  const app = buildApp({
    ...(await dependenciesOf(context, parts)),
    ...(await openAccounts(context)),
    access: await openAccess(context),
  });
  const server = await startHttp(app, { host: config.HOST, port: config.PORT });
  lifecycle.add('http', { stop: () => (health.leave(), server.stop()) });
  logger.info(`listening on ${server.url}`);
  await services.reads.ready();
  logger.info(`OpenMusic is ready: ${config.publicUrl} (API page: ${config.publicUrl}/docs)`);
}

/** What the routes use, apart from accounts. */
async function dependenciesOf(context: Context, { services, cache, health }: ApiParts) {
  const { config, logger, registry, resources } = context;
  const { reads, commands, files } = services;
  const keys = await keysOf(config, path.resolve(config.DATA_DIR));
  return {
    commands,
    database: reads,
    now: Date.now,
    placement: resources.placement,
    health,
    logger,
    files,
    metricsRegistry: registry,
    answers: createResponseCache({ ...cache, variant: variantOf(config), now: () => performance.now() }),
    counters: cache.redis && { redis: cache.redis.client, namespace: config.NAMESPACE },
    stored: storedFilesOf(config, resources.admin),
    jobs: jobsOf(context, services, keys.LINK_KEY),
    ...keysFor(config, keys),
    ...settingsFor(config),
    appendRecords: config.KAFKA_BROKERS ? undefined : (batch: readonly Append[]) => resources.log.append(batch),
  };
}

/** Settings that reach the routes as they are. */
const settingsFor = (config: Config) => ({
  publicUrl: config.publicUrl,
  namespace: config.NAMESPACE,
  playlistDuplicates: config.PLAYLIST_DUPLICATES,
  trustProxy: config.TRUST_PROXY,
  corsOrigins: config.CORS_ORIGINS,
  catalogWrites: config.CATALOG_WRITES,
  readOnly: config.READ_ONLY === 'on',
  production: config.NODE_ENV === 'production',
  limits: { bodyBytes: config.BODY_BYTES, bodyDepth: config.BODY_DEPTH, bodyFields: config.BODY_FIELDS },
  rates: {
    login: rateOf(config.RATE_LOGIN),
    failures: rateOf(config.RATE_FAILURES),
    register: rateOf(config.RATE_REGISTER),
    default: rateOf(config.RATE_DEFAULT),
    jobs: rateOf(config.RATE_JOBS),
    covers: rateOf(config.RATE_COVERS),
  },
});

/** What the routes use that accept jobs and show them. */
function jobsOf({ config, resources, commits }: Context, { reads, commands, files }: Services, linkKey: string) {
  const { admin: tables } = resources;
  const catalogTopic = topicOf(config.NAMESPACE, 'catalog');
  const { mail } = config;
  const repeats = { seconds: config.REPEAT_SECONDS };
  const mustHaveRoom = quotaOf(config, reads);
  const accept = createAccept({
    commands,
    database: reads,
    catalogTopic,
    files,
    mail,
    tables,
    now: Date.now,
    attempts: config.JOB_ATTEMPTS,
    pauses: pausesOf(config),
    mustHaveRoom,
    stored: storedFilesOf(config, tables),
    repeats,
    dummySeconds: dummySecondsOf(config),
  });
  return {
    accept,
    repeats,
    mustHaveRoom,
    tables,
    commits,
    mail,
    filesProvider: config.FILES_PROVIDER,
    links: { keys: { current: linkKey, previous: config.LINK_KEY_PREVIOUS }, age: config.LINK_AGE },
    batch: { items: config.BATCH_ITEMS, bytes: config.BATCH_BYTES },
  };
}

const DAY_MS = 86_400_000;

/** Deletes covers that no album has, and files that jobs made long ago. */
function addSweepers(
  { config, lifecycle, logger, resources }: Context,
  { reads, files }: Omit<Services, 'commands'>,
): void {
  const { log, placement } = resources;
  const say = (level: 'info' | 'warn', message: string) => logger[level](message);
  const named = async (names: readonly string[]) =>
    (await tellsAll(reads, await log.ends(placement.all))) ? coversAmong(reads, names) : undefined;
  const olderThanMs = config.FILES_KEEP_DAYS * DAY_MS;
  const stored = storedFilesOf(config, resources.admin);
  const removed = (names: readonly string[]) => stored.forget(names);
  lifecycle.add('sweeper', sweepHourly({ files, prefix: COVERS, named, now: Date.now, removed }, say));
  const isThere = async (name: string) => {
    const file = await files.open(name);
    await file?.close();
    return file !== undefined;
  };
  const forget = (signal: AbortSignal) =>
    stored
      .forgetOld(olderThanMs + DAY_MS)
      .then(() => stored.forgetLost(DAY_MS, isThere, signal))
      .catch((error: unknown) => logger.warn(`sizes of files are kept too long: ${reasonOf(error)}`));
  lifecycle.add('stored files', hourly(forget));
  for (const prefix of JOB_FILE_PREFIXES) {
    lifecycle.add('sweeper', sweepHourly({ files, prefix, olderThanMs, now: Date.now, removed }, say));
  }
}

/** What answers depend on besides the rows: another version, or another public URL, must not use them. */
const variantOf = ({ publicUrl }: Config) => hash('sha256', `${version} ${publicUrl}`, 'base64url').slice(0, 8);

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

/** Has a connection of its own, because a revoked right must be known in time however busy the other connections are. */
async function openAccess({ config, lifecycle, logger, resources: { connection } }: Context): Promise<LiveAccess> {
  const searchPath = [config.NAMESPACE, 'public'];
  const database = openDatabase(connection, { name: 'openmusic access', max: 1, searchPath, queryTimeoutMs: 2_000 });
  lifecycle.add('access connection', database);
  const report = throttled((message) => logger.warn(message));
  const access = lifecycle.add('access', await followAccess({ database, report, tokenAge: config.ACCESS_TOKEN_AGE }));
  const onNotice = () => void access.recheck().catch(() => undefined); // it is rechecked within a second anyway
  lifecycle.add('access listener', listen({ connection, channel: accessChannel(config.NAMESPACE), onNotice, report }));
  return access;
}
