import type { PostgresConnection } from '../../../src/postgres/connection.ts';
import { hasRedis, missingForKafka } from '../../../stack/programs.ts';
import { kafkaInDocker, postgresInDocker, redisInDocker } from './docker.ts';
import { kafkaOfEnvironment, postgresOfEnvironment, redisOfEnvironment } from './env.ts';
import { startNativeKafka } from './kafka.ts';
import { startNativePostgres } from './postgres.ts';
import { kafkaAnswers, postgresAnswers, redisAnswers } from './probes.ts';
import { startNativeRedis } from './redis.ts';
import type { KafkaAddress, RedisAddress } from './types.ts';

export type Started<T> = T & { stop(): Promise<void> };

/** One kind of server: how each way provides one, how to check that it answers, how to describe its address. */
export interface Kind<T> {
  readonly name: string;
  /** The server of the environment. */
  ofEnvironment(): T | undefined;
  /** The address of a server that we start. Undefined when only its start can tell. */
  at(host: string, port: number): T | undefined;
  inDocker(port: number): Promise<Started<T>>;
  /** Why there is no native way, or true. */
  canBeNative(): Promise<true | string>;
  natively(port: number): Promise<Started<T>>;
  answers(address: T): Promise<boolean>;
  shown(address: T): string;
}

/** Tests of durability start a Postgres of their own; the shared one need not wait for the disk. */
const forSpeed = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' };

export const kafka: Kind<KafkaAddress> = {
  name: 'Kafka',
  ofEnvironment: kafkaOfEnvironment,
  at: (host, port) => ({ brokers: [`${host}:${port}`] }),
  inDocker: kafkaInDocker,
  canBeNative: async () => {
    const missing = await missingForKafka(process.env);
    return missing.length === 0 || `not on the PATH: ${missing.join('; ')}`;
  },
  // No test kills the shared broker, so its session may outlast a machine that is busy for seconds.
  natively: (port) => startNativeKafka({ port, properties: { 'broker.session.timeout.ms': '9000' } }),
  answers: async ({ brokers }) => (await Promise.all(brokers.map(kafkaAnswers))).includes(true),
  shown: ({ brokers }) => brokers.join(','),
};

export const redis: Kind<RedisAddress> = {
  name: 'Redis',
  ofEnvironment: redisOfEnvironment,
  at: (host, port) => ({ url: `redis://${host}:${port}` }),
  inDocker: redisInDocker,
  canBeNative: () => Promise.resolve(hasRedis(process.env) || 'no redis-server on the PATH'),
  natively: (port) => startNativeRedis({ port }),
  answers: ({ url }) => redisAnswers(url),
  shown: ({ url }) => url.replace(/\/\/.*@/, '//'),
};

export const postgres: Kind<{ connection: PostgresConnection }> = {
  name: 'Postgres',
  ofEnvironment: () => {
    const connection = postgresOfEnvironment();
    return connection && { connection };
  },
  at: () => undefined,
  inDocker: (port) => postgresInDocker(port, forSpeed),
  canBeNative: () => Promise.resolve(true),
  natively: (port) => startNativePostgres({ port, settings: forSpeed }),
  answers: ({ connection }) => postgresAnswers(connection),
  shown: ({ connection }) => `${connection.host}:${connection.port}`,
};
