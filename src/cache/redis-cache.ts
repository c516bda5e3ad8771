import { readFileSync } from 'node:fs';
import { batch } from '../concurrency/batch.ts';
import { type CacheServer, EPOCH_MS, ENTRY_MS, LEASE_MS, MARK_MS } from './cache.ts';
import type { RedisConnection } from './redis.ts';

const SCRIPTS = ['begin', 'lease', 'fill', 'mark', 'release'] as const;
type Script = (typeof SCRIPTS)[number];

const sources = Object.fromEntries(
  SCRIPTS.map((name) => [name, readFileSync(new URL(`scripts/${name}.lua`, import.meta.url), 'utf8')]),
);

/** The methods that `defineCommand` adds. The number of keys comes first. */
type Scripted = Record<`openmusic-${Script}`, (keys: number, ...args: (string | number)[]) => Promise<unknown>>;

/** The cache in Redis, under keys of its own. Stopping it leaves the connection open. */
export function createRedisCache(
  { client, identify }: RedisConnection,
  namespace: string,
  markMs = MARK_MS,
): CacheServer {
  for (const name of SCRIPTS) client.defineCommand(`openmusic-${name}`, { lua: sources[name] ?? '' });
  const scripts = client as RedisConnection['client'] & Scripted;
  const prefix = `${namespace}:cache:`;
  const own = `${prefix}incarnation`;
  const nameOf = (incarnation: string) => (key: string) => `${prefix}${incarnation}:${key}`;

  /** All reads of one turn of the event loop share one MGET, in which each key is named once. */
  async function readAll(wanted: readonly (readonly string[])[]): Promise<(string | undefined)[][]> {
    const names = [...new Set(wanted.flat())];
    const values = await client.mget(own, ...names);
    const valueOf = new Map([own, ...names].map((name, index) => [name, values[index] ?? undefined]));
    return wanted.map((each) => [own, ...each].map((name) => valueOf.get(name)));
  }
  const readValues = batch(readAll, Infinity, Infinity);

  return {
    async identify() {
      const [{ runId, unfit }, incarnation] = await Promise.all([identify(), client.get(own)]);
      return { runId, incarnation: incarnation ?? undefined, ...(unfit !== '' && { unfit }) };
    },
    async begin(incarnation) {
      await scripts['openmusic-begin'](1, own, incarnation);
    },
    async read(incarnation, keys) {
      const [found, ...values] = await readValues(keys.map(nameOf(incarnation)));
      return found === incarnation ? values : undefined;
    },
    async lease(incarnation, { key, epochs }, { token, variant }) {
      const keys = [key, ...epochs].map(nameOf(incarnation));
      const args = [own, ...keys, incarnation, token, variant, LEASE_MS, EPOCH_MS];
      return ((await scripts['openmusic-lease'](keys.length + 1, ...args)) as string | null) ?? undefined;
    },
    async fill(incarnation, key, token, entry) {
      const args = [own, nameOf(incarnation)(key), incarnation, token, entry, ENTRY_MS];
      return (await scripts['openmusic-fill'](2, ...args)) === 1;
    },
    async mark(incarnation, keys, token) {
      const args = [own, ...keys.map(nameOf(incarnation)), incarnation, token, markMs];
      return (await scripts['openmusic-mark'](keys.length + 1, ...args)) === 1;
    },
    async release(incarnation, keys, token) {
      await scripts['openmusic-release'](keys.length, ...keys.map(nameOf(incarnation)), token, markMs);
    },
    onReset: (listener) => void client.on('close', listener),
    stop: () => Promise.resolve(),
  };
}
