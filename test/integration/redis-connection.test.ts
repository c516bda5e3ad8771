import { afterEach, expect, it } from '@jest/globals';
import { connectRedis, type RedisConnection } from '../../src/cache/redis.ts';
import { describeWithNativeRedis, type NativeRedis, startNativeRedis } from '../support/servers/index.ts';

const opened: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.stop();
});

async function server(args: string[] = []): Promise<NativeRedis> {
  const redis = await startNativeRedis({ args });
  opened.push(redis);
  return redis;
}

function connect(url: string): { redis: RedisConnection; lines: string[] } {
  const lines: string[] = [];
  const redis = connectRedis({ url, log: (_level, message) => lines.push(message) });
  opened.push(redis);
  return { redis, lines };
}

/** Waits until the check reports this, with this detail if one is given; returns its last result. */
async function becomes(redis: RedisConnection, ok: boolean, detail?: string) {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const check = await redis.check();
    if (check.ok === ok && check.detail === (detail ?? check.detail)) return check;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(check)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describeWithNativeRedis('the connection to Redis', () => {
  it('answers a health check', async () => {
    const { redis } = connect((await server()).url);
    expect(await becomes(redis, true)).toEqual({ ok: true, detail: expect.stringMatching(/^\d+ ms$/) });
  });

  it('accepts host, port and password as well as a URL', async () => {
    const { url } = await server(['--requirepass', 'secret']);
    const redis = connectRedis({
      host: '127.0.0.1',
      port: Number(new URL(url).port),
      password: 'secret',
      log: () => 0,
    });
    opened.push(redis);
    await becomes(redis, true);
  });

  it('gives up on a frozen server within its timeout, and continues when it thaws', async () => {
    const native = await server();
    const { redis } = connect(native.url);
    await becomes(redis, true);
    await native.freeze();
    expect(await redis.check()).toEqual({ ok: false, detail: 'no answer in 300 ms' });
    await native.thaw();
    await becomes(redis, true);
  });

  it('closes a connection that returns nothing', async () => {
    const native = await server();
    const { redis, lines } = connect(native.url);
    await becomes(redis, true);
    await native.freeze();
    while (!lines.some((line) => line.startsWith('Redis cannot be used'))) await redis.check();
    await native.thaw();
    await becomes(redis, true);
    expect(lines.at(-1)).toBe('Redis is connected');
  });

  it('reconnects to a server that was killed and started again, and reports it once', async () => {
    const native = await server();
    const { redis, lines } = connect(native.url);
    await becomes(redis, true);
    await native.kill();
    await becomes(redis, false, 'not connected'); // a check in progress when it died reports how it died
    await native.restart();
    await becomes(redis, true);
    expect(lines.filter((line) => line.startsWith('Redis cannot be used')).length).toBeLessThanOrEqual(1);
    expect(lines.filter((line) => line === 'Redis is connected')).toHaveLength(2);
  });

  it('waits for a server that is not up yet', async () => {
    const native = await server();
    await native.kill();
    const { redis, lines } = connect(native.url);
    expect(await becomes(redis, false)).toEqual({ ok: false, detail: 'not connected' });
    await native.restart();
    await becomes(redis, true);
    expect(lines[0]).toMatch(/^Redis cannot be used: Redis at \S+ refused the connection\. Check REDIS_/);
  });

  it('reports when the server may evict its keys', async () => {
    const { redis, lines } = connect((await server(['--maxmemory-policy', 'allkeys-lru'])).url);
    await becomes(redis, true);
    while (lines.length < 2) await redis.check();
    expect(lines[1]).toMatch(/allkeys-lru/);
    expect((await redis.check()).detail).toMatch(/evicts keys \(maxmemory-policy allkeys-lru\)/);
  });
});
