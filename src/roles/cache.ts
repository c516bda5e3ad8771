import { setTimeout as delay } from 'node:timers/promises';
import { type CacheServer, MARK_MS } from '../cache/cache.ts';
import { createIncarnation, type Incarnation } from '../cache/incarnation.ts';
import type { CacheRow } from '../cache/cache-state.ts';
import { createMemoryCache } from '../cache/memory.ts';
import { type CacheMeter, createCacheMeter } from '../cache/meter.ts';
import { noCache } from '../cache/none.ts';
import { createRedisCache } from '../cache/redis-cache.ts';
import { connectRedis, type RedisConnection } from '../cache/redis.ts';
import { openDatabase } from '../postgres/pool.ts';
import { isOnlyOneRead, openCacheRow } from '../projections/engine/cache-row.ts';
import { hasReached } from '../projections/generations/guard.ts';
import type { ReadModel } from '../projections/generations/read-model.ts';
import { throttled } from '../concurrency/throttle.ts';
import type { RoleOptions } from './context.ts';

/** What readers and projectors of a process share. */
export interface CacheParts {
  readonly server: CacheServer;
  readonly row: CacheRow;
  readonly incarnation: Incarnation;
  readonly meter: CacheMeter;
  readonly markMs: number;
  /** Also counts requests. */
  readonly redis: RedisConnection | undefined;
  /** From now on this process reads: answers of its build may be cached. */
  readBy(reads: ReadModel): void;
}

const now = () => performance.now();

export function addCache(context: RoleOptions): CacheParts {
  const { config, lifecycle, logger, registry, resources } = context;
  const { connection, log, placement } = resources;
  const isOff = config.REDIS_URL === 'off';
  const follows = config.READ_ONLY === 'on';
  const redis = !isOff && !follows && (config.REDIS_URL ?? config.REDIS_SERVER) ? addRedis(context) : undefined;
  const inProcess = !isOff && !redis && (follows ? isWhole(config) : !config.KAFKA_BROKERS);
  const markMs = redis ? config.CACHE_MARK_SECONDS * 1_000 : MARK_MS;
  const inRedis = redis && createRedisCache(redis, config.NAMESPACE, markMs);
  const server = inRedis ?? (inProcess ? createMemoryCache({ now }) : noCache);
  const searchPath = [config.NAMESPACE, 'public'];
  const database = openDatabase(connection, { name: 'openmusic cache', max: 2, searchPath, queryTimeoutMs: 2_000 });
  lifecycle.add('cache row', database);
  let reads: ReadModel | undefined;
  const row = openCacheRow(database);
  const meter = createCacheMeter(registry);
  const incarnation = createIncarnation({
    server,
    row,
    now,
    meter,
    pause: (ms) => delay(ms),
    alone: inProcess && !follows,
    generation: () => reads?.held()?.id,
    async mayBegin(generation) {
      if (!reads || !(await isOnlyOneRead(database, config.NAMESPACE, generation))) return false;
      return hasReached(reads, await log.ends(placement.all));
    },
    report: throttled((message) => logger.warn(message)),
  });
  lifecycle.add('cache', incarnation);
  return {
    server,
    row,
    incarnation,
    redis,
    meter,
    markMs,
    readBy: (model) => void (reads = model),
  };
}

/** What a follower caches in process must be marked in the same one. */
const isWhole = ({ ROLES }: RoleOptions['config']) => ROLES.includes('api') && ROLES.includes('projector');

function addRedis({ config, lifecycle, logger, probes }: RoleOptions): RedisConnection {
  const redis = lifecycle.add(
    'Redis',
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
