import { beforeAll, describe } from '@jest/globals';
import { onPath } from '../../../stack/on-path.ts';
import { cloneDatabase, randomName, type TestDatabase } from './database.ts';
import { demand } from './demand.ts';
import { SERVERS_VARIABLE } from './handover.ts';
import type { Demands, KafkaAddress, RedisAddress, Servers, Skip } from './types.ts';

export { type TestDatabase } from './database.ts';
export { type NativeKafka, startNativeKafka } from './kafka.ts';
export { type NativePostgres, startNativePostgres } from './postgres.ts';
export { type NativeRedis, startNativeRedis } from './redis.ts';

/** The offer of global-setup. */
export function servers(): Servers {
  const json = process.env[SERVERS_VARIABLE];
  if (json === undefined) throw new Error('global-setup did not run: start tests by npm test');
  return JSON.parse(json) as Servers;
}

/** Starts a server that all test files share, unless it runs already. */
export const demanded = <Name extends keyof Demands>(name: Name): Promise<Demands[Name]> =>
  demand(servers().socketPath, name);

/** The Redis that all test files share, where there is one. */
export async function sharedRedis(): Promise<RedisAddress | undefined> {
  return 'skip' in servers().redis ? undefined : demanded('redis');
}

/** A new namespace at each call. */
export const namespace = (): string => randomName('t');

/** A new, empty database on the shared server. */
export async function createDatabase(): Promise<TestDatabase> {
  const { connection, template } = await demanded('postgres');
  return cloneDatabase(connection, template);
}

/** Skips the suite, with the reason in its name, where there is no broker. */
export function describeWithKafka(name: string, suite: (kafka: KafkaAddress) => void): void {
  describeWith('kafka', servers().kafka, name, suite, { brokers: [] });
}

export function describeWithRedis(name: string, suite: (redis: RedisAddress) => void): void {
  describeWith('redis', servers().redis, name, suite, { url: '' });
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

/** For tests that run programs which OpenMusic itself does not need. */
export function describeWithPrograms(programs: readonly string[], name: string, suite: () => void): void {
  const missing = programs.filter((program) => !onPath(program, process.env.PATH));
  describeUnless(missing.length > 0 ? `not on the PATH: ${missing.join(', ')}` : undefined, name, suite);
}

/** Longer than an image takes to be pulled. */
const START_MS = 180_000;

function describeWith<T extends object>(
  server: 'kafka' | 'redis',
  offered: T | Skip,
  name: string,
  suite: (address: T) => void,
  nowhere: T,
): void {
  const skip = 'skip' in offered ? offered.skip : undefined;
  describeUnless(skip, name, () => {
    beforeAll(() => demanded(server), START_MS);
    suite('skip' in offered ? nowhere : offered);
  });
}

function describeUnless(reason: string | undefined, name: string, suite: () => void): void {
  if (reason === undefined) describe(name, suite);
  else describe.skip(`${name} [skipped: ${reason}]`, suite);
}
