import type { PostgresConnection } from '../../../src/postgres/connection.ts';
import type { KafkaAddress, RedisAddress } from './types.ts';

/** The servers of the environment, by the same variables as the application's; undefined where none is set. */
export function kafkaOfEnvironment(): KafkaAddress | undefined {
  const brokers = given('KAFKA_BROKERS')
    ?.split(',')
    .map((broker) => broker.trim());
  return brokers && { brokers };
}

export function postgresOfEnvironment(): PostgresConnection | undefined {
  const host = given('PGHOST');
  if (host === undefined) return undefined;
  const user = given('PGUSER') ?? 'postgres';
  return {
    host,
    port: Number(given('PGPORT') ?? 5432),
    user,
    password: given('PGPASSWORD') ?? '',
    database: given('PGDATABASE') ?? user,
  };
}

export function redisOfEnvironment(): RedisAddress | undefined {
  const url = given('REDIS_URL');
  if (url !== undefined) return { url };
  const host = given('REDIS_SERVER');
  if (host === undefined) return undefined;
  const password = given('REDIS_PASSWORD');
  const login = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
  const scheme = ['on', 'true', '1'].includes(given('REDIS_TLS') ?? '') ? 'rediss' : 'redis';
  return { url: `${scheme}://${login}${host}:${given('REDIS_PORT') ?? '6379'}` };
}

function given(name: string): string | undefined {
  const value = process.env[name]?.trim();
  return value === '' ? undefined : value;
}
