import { describe } from '@jest/globals';
import { cloneDatabase, randomName, type TestDatabase } from './database.ts';
import { SERVERS_VARIABLE } from './handover.ts';
import type { KafkaAddress, RedisAddress, Servers } from './types.ts';

export { type TestDatabase } from './database.ts';
export { type NativeKafka, startNativeKafka } from './kafka.ts';
export { type NativePostgres, startNativePostgres } from './postgres.ts';
export { type NativeRedis, startNativeRedis } from './redis.ts';

/** What global-setup found. */
export function servers(): Servers {
  const json = process.env[SERVERS_VARIABLE];
  if (json === undefined) throw new Error('global-setup did not run: start tests by npm test');
  return JSON.parse(json) as Servers;
}

/** A new namespace at each call. */
export const namespace = (): string => randomName('t');

/** A migrated database of one's own, on the shared server. */
export function createDatabase(): Promise<TestDatabase> {
  const { postgres, template } = servers();
  return cloneDatabase(postgres, template);
}

/** The suite's tests are skipped, with the reason in their name, where there is no broker. */
export function describeWithKafka(name: string, suite: (kafka: KafkaAddress) => void): void {
  const { kafka } = servers();
  describeUnless('skip' in kafka ? kafka.skip : undefined, name, () =>
    suite('skip' in kafka ? { brokers: [] } : kafka),
  );
}

export function describeWithRedis(name: string, suite: (redis: RedisAddress) => void): void {
  const { redis } = servers();
  describeUnless('skip' in redis ? redis.skip : undefined, name, () => suite('skip' in redis ? { url: '' } : redis));
}

/** For tests that call `startNativeKafka`. */
export function describeWithNativeKafka(name: string, suite: () => void): void {
  const { native } = servers();
  describeUnless(native.kafka === true ? undefined : native.kafka, name, suite);
}

/** For tests that call `startNativeRedis`. */
export function describeWithNativeRedis(name: string, suite: () => void): void {
  const { native } = servers();
  describeUnless(native.redis === true ? undefined : native.redis, name, suite);
}

function describeUnless(reason: string | undefined, name: string, suite: () => void): void {
  if (reason === undefined) describe(name, suite);
  else describe.skip(`${name} [skipped: ${reason}]`, suite);
}
