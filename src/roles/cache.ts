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
import type { Context, Part } from './context.ts';

/** The cache of a process, as its readers and projectors share it. */
export interface CacheService {
  readonly server: CacheServer;
  readonly row: CacheRow;
  readonly incarnation: Incarnation;
  readonly meter: CacheMeter;
  readonly markMs: number;
  /** Also counts requests. */
  readonly redis: RedisConnection | undefined;
}

const now = () => performance.now();

/** `reads` is what this process answers from; undefined where it answers nothing, and then begins no incarnation. */
export function openCache(context: Context, reads: ReadModel | undefined): Part<CacheService> {
  const { config, lifecycle, logger, registry, resources } = context;
  const { log, placement } = resources;
  const { redis, server, isInProcess, markMs } = openServer(context);
  const searchPath = [config.NAMESPACE, 'public'];
  const pool = { name: 'openmusic cache', max: 2, searchPath, queryTimeoutMs: 2_000 };
  const database = lifecycle.add('cache row', openDatabase(resources.connection, pool));
  const row = openCacheRow(database);
  const meter = createCacheMeter(registry);
  const incarnation = createIncarnation({
    server,
    row,
    now,
    meter,
    pause: (ms) => delay(ms),
    isExclusive: isInProcess && config.READ_ONLY !== 'on',
    generation: () => reads?.held()?.id,
    async mayBegin(generation) {
      if (!reads || !(await isOnlyOneRead(database, config.NAMESPACE, generation))) return false;
      return hasReached(reads, await log.ends(placement.all));
    },
    report: throttled((message) => logger.warn(message)),
  });
  lifecycle.add('cache', incarnation);
  return {
    service: { server, row, incarnation, redis, meter, markMs },
    probes: redis ? { cache: { needed: 'at-start', check: () => redis.check() } } : {},
  };
}

/** Redis where the settings name it, else the memory of this process where no other process has to mark what is cached. */
function openServer(context: Context) {
  const { config } = context;
  const isOff = config.REDIS_URL === 'off';
  const follows = config.READ_ONLY === 'on';
  const redis = !isOff && !follows && (config.REDIS_URL ?? config.REDIS_SERVER) ? connect(context) : undefined;
  if (redis) {
    const markMs = config.CACHE_MARK_SECONDS * 1_000;
    return { redis, server: createRedisCache(redis, config.NAMESPACE, markMs), isInProcess: false, markMs };
  }
  const isInProcess = !isOff && (follows ? isWhole(config) : !config.KAFKA_BROKERS);
  return { redis, server: isInProcess ? createMemoryCache({ now }) : noCache, isInProcess, markMs: MARK_MS };
}

/** What a follower caches in process must be marked in the same one. */
const isWhole = ({ ROLES }: Context['config']) => ROLES.includes('api') && ROLES.includes('projector');

function connect({ config, lifecycle, logger }: Context): RedisConnection {
  return lifecycle.add(
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
}
