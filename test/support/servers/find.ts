import { reasonOf } from '../../../src/errors.ts';
import type { PostgresConnection } from '../../../src/postgres/connection.ts';
import { hasRedis, missingForKafka } from '../../../src/stack/programs.ts';
import { dockerAnswers, kafkaInDocker, postgresInDocker, redisInDocker } from './docker.ts';
import { kafkaOfEnvironment, postgresOfEnvironment, redisOfEnvironment } from './env.ts';
import { startNativeKafka } from './kafka.ts';
import { startNativePostgres } from './postgres.ts';
import { kafkaAnswers, postgresAnswers, redisAnswers } from './probes.ts';
import { startNativeRedis } from './redis.ts';
import type { KafkaAddress, RedisAddress, Servers, Skip, Way } from './types.ts';
import { until } from './waiting.ts';

type Stop = () => Promise<void>;
type Log = (line: string) => void;
type Started<T> = T & { stop?: Stop };
/** A text says why a way gives no server. */
type Got<T> = { server: Started<T> } | string;

/** One server: how each way gets it, how to see that it answers, how to show where it is. */
interface Wanted<T> {
  name: string;
  ofEnvironment: () => Started<T> | undefined;
  inDocker: () => Promise<Started<T>>;
  /** Why there is no native way, or true. */
  canBeNative: () => Promise<true | string>;
  natively: () => Promise<Started<T>>;
  answers: (server: T) => Promise<boolean>;
  shown: (server: T) => string;
}

type Found<T> = { server: Started<T>; way: Way } | { skip: string };

export type FoundServers = Omit<Servers, 'template'> & { stop: Stop };

/** Tests of durability start a Postgres of their own; the shared one need not wait for the disk. */
const forSpeed = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' };

const kafka: Wanted<KafkaAddress> = {
  name: 'Kafka',
  ofEnvironment: kafkaOfEnvironment,
  inDocker: kafkaInDocker,
  canBeNative: async () => {
    const missing = await missingForKafka(process.env);
    return missing.length === 0 || `not on the PATH: ${missing.join('; ')}`;
  },
  // Nobody kills the shared one, so its session may outlast a machine that is busy for seconds.
  natively: () => startNativeKafka({ properties: { 'broker.session.timeout.ms': '9000' } }),
  answers: async ({ brokers }) => (await Promise.all(brokers.map(kafkaAnswers))).includes(true),
  shown: ({ brokers }) => brokers.join(','),
};

const redis: Wanted<RedisAddress> = {
  name: 'Redis',
  ofEnvironment: redisOfEnvironment,
  inDocker: redisInDocker,
  canBeNative: () => Promise.resolve(hasRedis(process.env) || 'no redis-server on the PATH'),
  natively: () => startNativeRedis(),
  answers: ({ url }) => redisAnswers(url),
  shown: ({ url }) => url.replace(/\/\/.*@/, '//'),
};

const postgres: Wanted<{ connection: PostgresConnection }> = {
  name: 'Postgres',
  ofEnvironment: () => {
    const connection = postgresOfEnvironment();
    return connection && { connection };
  },
  inDocker: () => postgresInDocker(forSpeed),
  canBeNative: () => Promise.resolve(true),
  natively: () => startNativePostgres({ settings: forSpeed }),
  answers: ({ connection }) => postgresAnswers(connection),
  shown: ({ connection }) => `${connection.host}:${connection.port}`,
};

/**
 * Finds or starts the three servers at once, each by the first way that works: the environment, Docker, native.
 * `TEST_SERVERS=env|docker|native` leaves one way. What was started is stopped again when one of them fails.
 */
export async function findServers(log: Log): Promise<FoundServers> {
  const ways = waysOf(process.env.TEST_SERVERS);
  const docker = ways.includes('docker') ? dockerAnswers() : Promise.resolve('not asked for');
  const look = <T>(wanted: Wanted<T>) => find(wanted, ways, docker, log);
  const all = await Promise.allSettled([look(kafka), look(redis), look(postgres)]);
  const [foundKafka, foundRedis, foundPostgres] = all;
  const stop = () => stopAll(all);
  try {
    return {
      ...result(valueOf(foundKafka), valueOf(foundRedis), valueOf(foundPostgres)),
      native: await native(),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function result(
  kafkaFound: Found<KafkaAddress>,
  redisFound: Found<RedisAddress>,
  postgresFound: Found<{ connection: PostgresConnection }>,
): Omit<Servers, 'template' | 'native'> {
  if ('skip' in postgresFound) throw new Error(`No Postgres for the tests: ${postgresFound.skip}`);
  return {
    kafka: addressOf(kafkaFound, ({ brokers }) => ({ brokers })),
    redis: addressOf(redisFound, ({ url }) => ({ url })),
    postgres: postgresFound.server.connection,
    how: { kafka: wayOf(kafkaFound), redis: wayOf(redisFound), postgres: postgresFound.way },
  };
}

const native = async () => ({ kafka: await kafka.canBeNative(), redis: await redis.canBeNative() });

/** The data alone: a server has functions too, and test files get all this as JSON. */
const addressOf = <T>(found: Found<T>, address: (server: T) => T): T | Skip =>
  'skip' in found ? { skip: found.skip } : address(found.server);

const wayOf = <T>(found: Found<T>) => ('skip' in found ? 'none' : found.way);

function valueOf<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === 'rejected') throw settled.reason;
  return settled.value;
}

async function stopAll(all: PromiseSettledResult<Found<unknown>>[]): Promise<void> {
  const stop = async (one: PromiseSettledResult<Found<unknown>>) => {
    if (one.status === 'fulfilled' && 'server' in one.value) await one.value.server.stop?.();
  };
  for (const stopped of await Promise.allSettled(all.map(stop))) valueOf(stopped);
}

function waysOf(forced: string | undefined): Way[] {
  if (forced === undefined || forced === '') return ['env', 'docker', 'native'];
  if (forced === 'env' || forced === 'docker' || forced === 'native') return [forced];
  throw new Error(`TEST_SERVERS is env, docker or native, not ${forced}`);
}

async function find<T>(wanted: Wanted<T>, ways: Way[], docker: Promise<true | string>, log: Log): Promise<Found<T>> {
  const begin = performance.now();
  const reasons: string[] = [];
  for (const way of ways) {
    const got = await by[way](wanted, docker);
    if (typeof got !== 'string') {
      log(`${wanted.name}: ${wanted.shown(got.server)} (${way}, ${Math.round(performance.now() - begin)} ms)`);
      return { ...got, way };
    }
    reasons.push(`${way}: ${got}`);
    if (got.startsWith(FAILED)) log(`${wanted.name}: ${way} ${got}`);
  }
  const skip = `no ${wanted.name} (${reasons.join('; ')})`;
  log(skip);
  return { skip };
}

const FAILED = 'failed';

const by = {
  async env<T>(wanted: Wanted<T>): Promise<Got<T>> {
    const server = wanted.ofEnvironment();
    if (server === undefined) return 'not named';
    // Someone who names a server means that one: another in its place would hide that it is down.
    const late = () => `${wanted.name} of the environment does not answer at ${wanted.shown(server)}`;
    await until(() => wanted.answers(server), 10_000, late);
    return { server };
  },
  async docker<T>(wanted: Wanted<T>, answers: Promise<true | string>): Promise<Got<T>> {
    const can = await answers;
    return can === true ? orReason(() => answering(wanted, wanted.inDocker)) : can;
  },
  async native<T>(wanted: Wanted<T>): Promise<Got<T>> {
    const can = await wanted.canBeNative();
    return can === true ? orReason(wanted.natively) : can;
  },
};

/** A container that says it is ready may not be reachable from here. */
async function answering<T>(wanted: Wanted<T>, start: () => Promise<Started<T>>): Promise<Started<T>> {
  const server = await start();
  try {
    await until(
      () => wanted.answers(server),
      10_000,
      () => `nothing answers at ${wanted.shown(server)}`,
    );
    return server;
  } catch (error) {
    await server.stop?.();
    throw error;
  }
}

async function orReason<T>(start: () => Promise<Started<T>>): Promise<Got<T>> {
  try {
    return { server: await start() };
  } catch (error) {
    return `${FAILED}: ${reasonOf(error).trim().split('\n')[0] ?? ''}`;
  }
}
