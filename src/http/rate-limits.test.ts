import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { httpApp, noRates } from '../../test/support/http-app.ts';
import { KEYS } from '../../test/support/keys.ts';
import { forge, now } from '../../test/support/tokens.ts';
import { type Rate, rateOf, type Rates } from './rate-limits.ts';

const few: Rate = { count: 2, seconds: 60 };

const started: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(started.splice(0).map((app) => app.close()));
});

interface Sender {
  readonly from?: string;
  readonly headers?: Record<string, string>;
}

function start(rates: Partial<Rates>, trustProxy?: readonly string[]) {
  const { app } = httpApp({ rates: { ...noRates, ...rates }, trustProxy });
  started.push(app);
  const post = (url: string, body: object, { from = '192.0.2.1', headers }: Sender) =>
    app.inject({ method: 'POST', url, body, remoteAddress: from, headers });
  return {
    sendCover: (sender: Sender) => post('/albums/album-1/covers', {}, sender),
    get: (url: string) => app.inject({ method: 'GET', url, remoteAddress: '192.0.2.1' }),
    logIn: (sender: Sender = {}) => post('/authentications', { username: 'chris', password: 'secret' }, sender),
    register: (sender: Sender = {}) =>
      post('/users', { username: 'chris', password: 'secret', fullname: 'Chris' }, sender),
  };
}

/** Whether both requests are counted together. */
async function areOne(first: Sender, second: Sender, trustProxy?: readonly string[]): Promise<boolean> {
  const { logIn } = start({ login: { count: 1, seconds: 60 } }, trustProxy);
  expect((await logIn(first)).statusCode).toBe(401);
  const { statusCode } = await logIn(second);
  expect([401, 429]).toContain(statusCode);
  return statusCode === 429;
}

describe('a rate', () => {
  it('is count/seconds, or off', () => {
    expect([rateOf('60/60'), rateOf('300/5'), rateOf('off')]).toEqual([
      { count: 60, seconds: 60 },
      { count: 300, seconds: 5 },
      undefined,
    ]);
  });

  it('that is off limits nothing and sends no headers', async () => {
    const { logIn } = start({});
    for (let time = 0; time < 100; time++) {
      const { statusCode, headers } = await logIn();
      expect([statusCode, headers.ratelimit, headers['ratelimit-policy']]).toEqual([401, undefined, undefined]);
    }
  });
});

const loggedIn = (account: string, role: string) => {
  const claims = { sub: account, role, aud: 'access', jti: 'x', iat: now(), exp: now() + 60 };
  return { authorization: `Bearer ${forge(claims, KEYS.ACCESS_TOKEN_KEY)}` };
};

describe('covers', () => {
  const JUDGED = 415; // there is no form

  it('are counted by account, from any address', async () => {
    const { sendCover } = start({ covers: few });
    const statuses: number[] = [];
    for (const n of [1, 2, 3])
      statuses.push((await sendCover({ from: `192.0.2.${n}`, headers: loggedIn('user-1', 'user') })).statusCode);
    expect(statuses).toEqual([JUDGED, JUDGED, 429]);
    expect((await sendCover({ headers: loggedIn('user-2', 'user') })).statusCode).toBe(JUDGED);
    expect((await sendCover({})).statusCode).toBe(JUDGED);
  });

  it('of an admin are not counted', async () => {
    const { sendCover } = start({ covers: few });
    for (let time = 0; time < 5; time++)
      expect((await sendCover({ headers: loggedIn('user-1', 'admin') })).statusCode).toBe(JUDGED);
  });
});

describe('a limited route', () => {
  it('says how many requests are left, and then when to retry', async () => {
    jest.spyOn(Date, 'now').mockReturnValue(1_700_000_000_000);
    const { logIn } = start({ login: few });
    const seen: unknown[] = [];
    for (let time = 0; time < 3; time++) {
      const { statusCode, headers } = await logIn();
      seen.push([statusCode, headers['ratelimit-policy'], headers.ratelimit, headers['retry-after']]);
    }
    const policy = '"login";q=2;w=60';
    expect(seen).toEqual([
      [401, policy, '"login";r=1;t=60', undefined],
      [401, policy, '"login";r=0;t=60', undefined],
      [429, policy, '"login";r=0;t=60', '60'],
    ]);
  });

  it('answers in the usual format, or as problem details', async () => {
    const { logIn } = start({ login: { count: 1, seconds: 60 } });
    await logIn();
    const usual = await logIn();
    const about = { code: 'TOO_MANY_REQUESTS', requestId: usual.headers['x-request-id'] };
    expect(usual.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(usual.json()).toEqual({ status: 'fail', message: expect.stringContaining('60 s'), ...about });
    const problem = await logIn({ headers: { accept: 'application/problem+json' } });
    expect([problem.statusCode, problem.headers['content-type']]).toEqual([
      429,
      'application/problem+json; charset=utf-8',
    ]);
    expect(problem.json()).toMatchObject({ title: 'Too Many Requests', status: 429, code: 'TOO_MANY_REQUESTS' });
  });

  it('accepts requests again when the time is over, and no sooner', async () => {
    const clock = jest.spyOn(Date, 'now').mockReturnValue(1_700_000_000_000);
    const { logIn } = start({ login: { count: 1, seconds: 60 } });
    const statuses: number[] = [];
    for (const after of [0, 1_000, 59_999, 60_000]) {
      clock.mockReturnValue(1_700_000_000_000 + after);
      statuses.push((await logIn()).statusCode);
    }
    expect(statuses).toEqual([401, 429, 429, 401]);
  });

  it('refuses before the body is read', async () => {
    const { register } = start({ register: { count: 1, seconds: 60 } });
    await register();
    expect((await register({ headers: { 'content-type': 'text/plain' } })).statusCode).toBe(429);
  });

  it('is counted separately from other routes', async () => {
    const { logIn, register, get } = start({ login: few, register: few });
    for (let time = 0; time < 2; time++) expect((await logIn()).statusCode).toBe(401);
    expect((await logIn()).statusCode).toBe(429);
    for (let time = 0; time < 2; time++) expect((await register()).statusCode).toBe(201);
    expect((await register()).statusCode).toBe(429);
    expect((await get('/')).headers.ratelimit).toBeUndefined();
  });
});

describe('a sender', () => {
  const at = (from: string): Sender => ({ from });
  it.each([
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1', '192.0.2.2', false],
    ['192.0.2.1', '::ffff:192.0.2.1', true],
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', true],
    ['2001:db8:1:2::1', '2001:DB8:1:2::1', true],
    ['2001:db8:1:200::1', '2001:db8:1:2ff::1', true],
    ['2001:db8:1:200::1', '2001:db8:1:300::1', false],
    ['2001:db8:1:2::1', '2001:db8::2', false],
    ['::1', '127.0.0.1', false],
  ])('%s and %s are the same: %p', async (first, second, one) => {
    expect(await areOne(at(first), at(second))).toBe(one);
  });

  const via = (from: string, forwarded: string): Sender => ({ from, headers: { 'x-forwarded-for': forwarded } });
  it('is the connecting address, not X-Forwarded-For', async () => {
    expect(await areOne(via('192.0.2.1', '10.1.1.1'), via('192.0.2.1', '10.2.2.2'))).toBe(true);
    expect(await areOne(via('192.0.2.1', '10.1.1.1'), via('192.0.2.1', '10.2.2.2'), ['192.0.2.9'])).toBe(true);
    expect(await areOne(via('192.0.2.1', '10.1.1.1'), via('192.0.2.2', '10.1.1.1'), ['192.0.2.9'])).toBe(false);
  });

  const PROXY = '192.0.2.9';
  it.each([
    ['its entry', '10.1.1.1', '10.2.2.2', false],
    ['its entry', '10.1.1.1', '10.1.1.1', true],
    ['the last entry, which the proxy added', '10.1.1.1, 10.3.3.3', '10.2.2.2, 10.3.3.3', true],
    ['a network of IPv6', '2001:db8:1:2::1', '2001:db8:1:2::2', true],
    ['a name', 'unknown', 'unknown', true],
    ['an address with any port', '10.1.1.1:4711', '10.1.1.1:4712', true],
    ['an address with a port, and without', '10.1.1.1:4711', '10.1.1.1', true],
    ['each address with a port', '10.1.1.1:4711', '10.1.1.2:4711', false],
    ['the last entry with any port', '10.2.2.2:1, 10.1.1.1:4711', '10.3.3.3:1,10.1.1.1:4712', true],
    ['an address of IPv6 with a port', '[2001:db8:1:2::1]:4711', '2001:db8:1:2::1', true],
    ['an address of IPv6 in brackets and quotes', '"[2001:db8:1:2::1]:4711"', '[2001:db8:1:2::1]', true],
    ['a bare address of IPv6 that ends like a port', '2001:db8:1:2::4711', '2001:db8:1:300::4711', false],
    ['an address in quotes', '"10.1.1.1:4711"', '10.1.1.1', true],
    ['a port that is a name', '10.1.1.1:_http', '10.1.1.1', true],
    ['text that only resembles an address', '10.1.1.1.1:80', '10.1.1.1', false],
    ['nonsense', '\\"<script>', '%', false],
  ])('behind a trusted proxy is %s: %s and %s', async (_, first, second, one) => {
    expect(await areOne(via(PROXY, first), via(PROXY, second), [PROXY])).toBe(one);
    expect(await areOne(via(PROXY, first), via(PROXY, second), ['192.0.2.8/29'])).toBe(one);
  });
});

it('recognises a trusted proxy that is named with a port', async () => {
  const proxies = ['192.0.2.9', '192.0.2.10'];
  const from = '192.0.2.9';
  const through = (client: string): Sender => ({ from, headers: { 'x-forwarded-for': `${client}, 192.0.2.10:443` } });
  expect(await areOne(through('10.1.1.1:1'), through('10.1.1.1:2'), proxies)).toBe(true);
  expect(await areOne(through('10.1.1.1:1'), through('10.2.2.2:1'), proxies)).toBe(false);
});

it('a /48 of IPv6 may send ten times what each of its 256 /56 may, and no more', async () => {
  const { logIn } = start({ login: few });
  const statuses: number[] = [];
  for (let n = 0; n < 12; n++) {
    const from = `2001:db8:1:${(n * 256).toString(16)}::1`;
    statuses.push(...[await logIn({ from }), await logIn({ from })].map(({ statusCode }) => statusCode));
  }
  expect(statuses.slice(0, 20)).toEqual(Array<number>(20).fill(401));
  expect(statuses.slice(20)).toEqual([429, 429, 429, 429]);
  const { headers } = await logIn({ from: '2001:db8:2::1' });
  expect(headers['ratelimit-policy']).toBe('"login";q=2;w=60, "login-network";q=20;w=60');
});

describe('the default limit', () => {
  it('counts every request except probes', async () => {
    const { get, logIn } = start({ default: few });
    for (let time = 0; time < 10; time++) expect((await get('/livez')).statusCode).toBe(200);
    const { headers } = await get('/');
    expect([headers.ratelimit, headers['ratelimit-policy']]).toEqual(['"default";r=1;t=60', '"default";q=2;w=60']);
    expect((await logIn()).statusCode).toBe(401);
    for (const url of ['/', '/songs', '/playlists', '/albums/album-1']) expect((await get(url)).statusCode).toBe(429);
    expect((await get('/livez')).statusCode).toBe(200);
  });

  it('applies in addition to the limits of single routes', async () => {
    const { logIn } = start({ default: { count: 3, seconds: 60 }, login: few });
    const { headers } = await logIn();
    expect(headers.ratelimit).toBe('"default";r=2;t=60, "login";r=1;t=60');
    expect(headers['ratelimit-policy']).toBe('"default";q=3;w=60, "login";q=2;w=60');
  });
});
