import { afterEach, expect, it } from '@jest/globals';
import { connectRedis } from '../../src/cache/redis.ts';
import type { Rate } from '../../src/http/rate-limits.ts';
import { createClient } from '../support/client.ts';
import { describeDistributed, startDistributed } from '../support/distributed.ts';
import { httpApp, noRates } from '../support/http-app.ts';
import { describeWithNativeRedis, describeWithRedis, namespace, startNativeRedis } from '../support/servers/index.ts';

const opened: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.stop();
});

/** An API that counts logins in this Redis. */
async function startApi(url: string, name: string, login: Rate) {
  const redis = connectRedis({ url, log: () => undefined });
  const { app } = httpApp({
    rates: { ...noRates, login },
    counters: { redis: redis.client, namespace: name },
  });
  opened.push(redis, { stop: () => app.close() });
  while (!(await redis.check()).ok) await new Promise(setImmediate);
  return {
    redis,
    async logIn(remoteAddress = '192.0.2.1') {
      const body = { username: 'chris', password: 'secret' };
      const { statusCode, headers } = await app.inject({
        method: 'POST',
        url: '/authentications',
        body,
        remoteAddress,
      });
      return { status: statusCode, left: headers.ratelimit };
    },
  };
}

/** The number of requests that come after it. */
const placeOf = (header: unknown) => Number(/;r=(\d+);/.exec(String(header))?.[1] ?? NaN);

describeWithRedis('processes that share a Redis', ({ url }) => {
  it('count together, and each namespace by itself', async () => {
    const [name, rate] = [namespace(), { count: 5, seconds: 60 }];
    const [one, other] = [await startApi(url, name, rate), await startApi(url, name, rate)];
    const statuses: number[] = [];
    for (let n = 0; n < 4; n++) statuses.push((await one.logIn()).status, (await other.logIn()).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429, 429]);
    expect((await other.logIn('192.0.2.2')).status).toBe(401);
    expect((await (await startApi(url, namespace(), rate)).logIn()).status).toBe(401);
  });

  it('count every concurrent request, and give no two the same place', async () => {
    const [name, rate] = [namespace(), { count: 50, seconds: 60 }];
    const apis = [await startApi(url, name, rate), await startApi(url, name, rate)];
    for (const { logIn } of apis) await logIn('192.0.2.2');
    const all = await Promise.all(Array.from({ length: 200 }, (_, n) => apis[n % 2]!.logIn()));
    const { client } = apis[0]!.redis;
    const [key = ''] = await client.keys(`${name}:*192.0.2.1`);
    expect(await client.get(key)).toBe('200');
    // A request that waits too long for Redis is allowed and counted: on a busy machine fewer than 50 may get their
    // place.
    const told = all.flatMap(({ status, left }) => (status === 401 && left !== undefined ? [placeOf(left)] : []));
    expect(new Set(told).size).toBe(told.length);
    expect(told.every((place) => place < 50)).toBe(true);
    expect(all.filter(({ status }) => status === 429).length).toBeLessThanOrEqual(150);
  });

  it('reset when the window is over', async () => {
    const [name, rate] = [namespace(), { count: 1, seconds: 1 }];
    const { redis, logIn } = await startApi(url, name, rate);
    expect([(await logIn()).status, (await logIn()).status]).toEqual([401, 429]);
    while ((await redis.client.keys(`${name}:*`)).length > 0) await new Promise(setImmediate);
    expect((await logIn()).status).toBe(401);
  });
});

describeWithNativeRedis('without its Redis', () => {
  const LONG_MS = 10_000;
  it.each(['kill', 'freeze'] as const)('(%s) limit nothing and delay nothing, and then count again', async (how) => {
    const server = await startNativeRedis();
    opened.push(server);
    const { redis, logIn } = await startApi(server.url, namespace(), { count: 1, seconds: 600 });
    expect([(await logIn()).status, (await logIn()).status]).toEqual([401, 429]);
    await server[how]();
    for (let n = 0; n < 3; n++) {
      const began = performance.now();
      expect(await logIn()).toEqual({ status: 401, left: undefined });
      expect(performance.now() - began).toBeLessThan(LONG_MS);
    }
    await (how === 'kill' ? server.restart() : server.thaw());
    while (!(await redis.check()).ok) await new Promise(setImmediate);
    expect((await logIn()).left).toContain('"login"');
    expect((await logIn()).status).toBe(429);
  });
});

describeDistributed('two API processes', () => {
  it('share one limit of 60 logins and registrations a minute for an address', async () => {
    const distributed = await startDistributed({ apis: 2 });
    opened.push(distributed);
    const [one, other] = distributed.apis.map(({ url }) => createClient(url));
    const tried: Awaited<ReturnType<NonNullable<typeof one>['post']>>[] = [];
    for (let pair = 0; pair < 35; pair++) {
      tried.push(...(await Promise.all([one!, other!].map((client) => client.post('/users', { nothing: 'useful' })))));
    }
    const counts = [400, 429].map((status) => tried.filter((answer) => answer.status === status).length);
    expect(counts).toEqual([60, 10]);
    const last = tried.find(({ status }) => status === 429)!;
    expect(last.headers.get('ratelimit-policy')).toBe('"register";q=60;w=60');
    expect(Number(last.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect((await one!.post('/authentications', {})).headers.get('ratelimit')).toMatch(/^"login";r=59;t=60$/);
  }, 120_000);
});

it('a blocked sender stays blocked, however many others send requests', async () => {
  const { app } = httpApp({ rates: { ...noRates, login: { count: 1, seconds: 60 } } });
  opened.push({ stop: () => app.close() });
  const body = { username: 'chris', password: 'secret' };
  const logIn = async (remoteAddress: string) =>
    (await app.inject({ method: 'POST', url: '/authentications', body, remoteAddress })).statusCode;
  expect([await logIn('198.51.100.1'), await logIn('198.51.100.1')]).toEqual([401, 429]);
  for (let n = 0; n < 5_300; n++) await logIn(`10.0.${n >> 8}.${n & 255}`);
  expect(await logIn('198.51.100.1')).toBe(429);
});
