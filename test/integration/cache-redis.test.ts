import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type CacheServer, encodeEntry, isMark } from '../../src/cache/cache.ts';
import { createRedisCache } from '../../src/cache/redis-cache.ts';
import { connectRedis, type RedisConnection } from '../../src/cache/redis.ts';
import { cacheContract } from '../contract/cache.ts';
import { describeWithNativeRedis, namespace, type NativeRedis, startNativeRedis } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';

type Client = RedisConnection['client'];

const WAIT_MS = 15_000;
const VARIANT = 'v1';
const album = { key: 'album/1', epochs: ['songs'] };
const likes = { key: 'likes/1', epochs: [] };
const entry = encodeEntry(VARIANT, { body: '{}' });

async function connect({ url }: NativeRedis): Promise<RedisConnection> {
  const redis = connectRedis({ url, log: () => undefined });
  await until(
    async () => (await redis.check()).ok,
    WAIT_MS,
    () => 'Redis does not answer',
  );
  return redis;
}

/** Makes every key of a namespace older. */
async function age(client: Client, name: string, ms: number): Promise<void> {
  for (const key of await client.keys(`${name}:*`)) {
    const [left, value] = [await client.pttl(key), await client.get(key)];
    if (left < 0 || value === null) continue; // without expiry, or expired by now
    if (left <= ms) await client.del(key);
    else await client.set(key, older(value, ms), 'PX', left - ms);
  }
}

const older = (value: string, ms: number) =>
  isMark(value) ? value.replaceAll(/@(\d+)/g, (_, since) => `@${Number(since) - ms}`) : value;

describeWithNativeRedis('the cache in Redis', () => {
  describe('under the contract', () => {
    let native: NativeRedis;
    let redis: RedisConnection;
    beforeAll(async () => {
      native = await startNativeRedis();
      redis = await connect(native);
    });
    afterAll(async () => {
      await redis.stop();
      await native.stop();
    });

    cacheContract('Redis', () => {
      const name = namespace();
      return Promise.resolve({
        server: createRedisCache(redis, name),
        pass: (ms: number) => age(redis.client, name, ms),
      });
    });
  });

  const opened: { stop(): Promise<unknown> }[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each.stop();
  });

  interface Opened {
    readonly native: NativeRedis;
    readonly redis: RedisConnection;
    readonly client: Client;
    readonly server: CacheServer;
  }

  /** A Redis of the test's own, in which an incarnation has begun. */
  async function open(args: string[] = []): Promise<Opened> {
    const native = await startNativeRedis({ args });
    opened.push(native);
    const redis = await connect(native);
    opened.push(redis);
    const server = createRedisCache(redis, 'openmusic');
    await server.begin('life');
    return { native, redis, client: redis.client, server };
  }

  const lease = (server: CacheServer, token: string, wanted: { key: string; epochs: string[] } = likes) =>
    server.lease('life', wanted, { token, variant: VARIANT });

  /** Every call of the cache. */
  async function works(server: CacheServer, incarnation: string): Promise<void> {
    expect(await server.lease(incarnation, likes, { token: 'reader', variant: VARIANT })).toBe(VARIANT);
    expect(await server.fill(incarnation, likes.key, 'reader', entry)).toBe(true);
    expect(await server.read(incarnation, [likes.key])).toEqual([entry]);
    expect(await server.mark(incarnation, [likes.key], 'batch')).toBe(true);
    await server.release(incarnation, [likes.key], 'batch');
    expect(await server.read(incarnation, [likes.key])).toEqual([undefined]);
  }

  describe('when it is full', () => {
    it('accepts marks, releases and a new incarnation, and rejects leases and entries with an error', async () => {
      const { client, server } = await open();
      await lease(server, 'reader');
      await client.config('SET', 'maxmemory', '1');
      await expect(server.fill('life', likes.key, 'reader', entry)).rejects.toThrow(/OOM/);
      await expect(lease(server, 'reader', album)).rejects.toThrow(/OOM/);
      const keys = [likes.key, album.key, 'songs'];
      for (const token of ['one', 'two']) expect(await server.mark('life', keys, token)).toBe(true);
      for (const [token, isLeft] of [
        ['one', true],
        ['two', false],
      ] as const) {
        await server.release('life', keys, token);
        expect((await server.read('life', keys))!.map(isMark)).toEqual([isLeft, isLeft, isLeft]);
      }
      await server.begin('next');
      expect(await server.identify()).toMatchObject({ incarnation: 'next' });
    });

    it('accepts leases and entries again when there is room', async () => {
      const { client, server } = await open();
      await client.config('SET', 'maxmemory', '1');
      await expect(lease(server, 'reader', album)).rejects.toThrow(/OOM/);
      expect(await server.read('life', [album.key, 'songs'])).toEqual([undefined, undefined]);
      await client.config('SET', 'maxmemory', '0');
      await works(server, 'life');
    });
  });

  describe('when it has lost data', () => {
    it('works without its loaded scripts', async () => {
      const { client, server } = await open();
      await works(server, 'life');
      await client.script('FLUSH');
      await works(server, 'life');
      await client.script('FLUSH');
      await server.begin('next');
      await works(server, 'next');
    });

    it('is another server after a restart, and reports the reset', async () => {
      const { native, redis, server } = await open();
      let resets = 0;
      server.onReset(() => (resets += 1));
      const before = await server.identify();
      expect(resets).toBe(0);
      await native.restart();
      await until(
        async () => (await redis.check()).ok,
        WAIT_MS,
        () => 'Redis did not come back',
      );
      expect(resets).toBeGreaterThan(0);
      const after = await server.identify();
      expect(after).toEqual({ runId: expect.stringMatching(/^[0-9a-f]{40}$/), incarnation: undefined });
      expect(after.runId).not.toBe(before.runId);
      expect(await server.read('life', [likes.key])).toBeUndefined();
      await server.begin('next');
      await works(server, 'next');
    });

    it('is the same server without an incarnation after it was wiped', async () => {
      const { client, server } = await open();
      const { runId } = await server.identify();
      await server.mark('life', [likes.key], 'batch');
      await client.flushall();
      expect(await server.identify()).toEqual({ runId, incarnation: undefined });
      expect(await server.read('life', [likes.key])).toBeUndefined();
      expect(await lease(server, 'reader')).toBeUndefined();
      expect(await server.mark('life', [likes.key], 'batch')).toBe(false);
      expect(await client.dbsize()).toBe(0);
    });
  });

  it('rejects every call in time when the server does not answer', async () => {
    const { native, redis, server } = await open();
    await native.freeze();
    const calls = [
      server.identify(),
      server.read('life', [likes.key]),
      lease(server, 'reader'),
      server.fill('life', likes.key, 'reader', entry),
      server.mark('life', [likes.key], 'batch'),
      server.release('life', [likes.key], 'batch'),
      server.begin('next'),
    ];
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(calls.map(() => 'rejected'));
    await native.thaw();
    await until(
      async () => (await redis.check()).ok,
      WAIT_MS,
      () => 'Redis did not thaw',
    );
  });

  it.each(['allkeys-lru', 'volatile-ttl'])('is unsuitable where keys are evicted (%s)', async (policy) => {
    const { server, client } = await open(['--maxmemory-policy', policy]);
    expect((await server.identify()).unfit).toMatch(policy);
    await client.config('SET', 'maxmemory-policy', 'noeviction');
    expect((await server.identify()).unfit).toBeUndefined();
  });

  it('keeps only the incarnation without an expiry', async () => {
    const { client, server } = await open();
    await lease(server, 'reader', album);
    await lease(server, 'reader');
    await server.fill('life', likes.key, 'reader', entry);
    for (const token of ['one', 'two']) await server.mark('life', ['k', 'l'], token);
    await server.release('life', ['l'], 'one');
    const keys = (await client.keys('*')).sort();
    expect(keys.map((key) => key.split(':').at(-1))).toEqual([
      ...['incarnation'],
      album.key,
      'k',
      'l',
      likes.key,
      'songs',
    ]);
    const lifetimes = await Promise.all(keys.map((key) => client.pttl(key)));
    expect(lifetimes.map((ms) => ms > 0)).toEqual(keys.map((key) => !key.endsWith('incarnation')));
  });

  it('does not see keys of another namespace', async () => {
    const { redis, server } = await open();
    const other = createRedisCache(redis, 'openmusic2');
    expect(await other.identify()).toMatchObject({ incarnation: undefined });
    await other.begin('life');
    await lease(server, 'reader');
    await server.mark('life', ['k'], 'batch');
    expect(await other.read('life', [likes.key, 'k'])).toEqual([undefined, undefined]);
  });

  it('sends one request for all reads of one turn of the event loop, with each key once', async () => {
    const { client, server } = await open();
    const monitor = await client.monitor();
    opened.push({
      stop() {
        monitor.disconnect();
        return Promise.resolve();
      },
    });
    const commands: string[][] = [];
    monitor.on('monitor', (_time: string, args: string[]) => commands.push(args));
    const wanted = [
      ['a', 'songs'],
      ['b', 'songs'],
      ['a', 'songs'],
    ];
    await Promise.all(wanted.map((keys) => server.read('life', keys)));
    await server.read('life', ['a']);
    await client.echo('the end');
    await until(
      () => Promise.resolve(commands.some(([name]) => name?.toLowerCase() === 'echo')),
      WAIT_MS,
      () => 'the monitor says nothing',
    );
    const asked = commands.filter(([name]) => name?.toLowerCase() === 'mget').map((args) => args.slice(1));
    const namesOf = (...keys: string[]) => [
      'openmusic:cache:incarnation',
      ...keys.map((key) => `openmusic:cache:life:${key}`),
    ];
    expect(asked).toEqual([namesOf('a', 'songs', 'b'), namesOf('a')]);
  });
});
