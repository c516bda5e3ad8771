import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { httpApp, noRates, type Substitutes } from '../../test/support/http-app.ts';
import type { CorsOrigins } from './cors.ts';

/** For tests that allow every origin and substitute nothing: building an app takes 50 ms. */
const { app: shared } = httpApp({ corsOrigins: '*' });
const started: { close(): Promise<unknown> }[] = [];
afterEach(() => Promise.all(started.splice(0).map((app) => app.close())));
afterAll(() => shared.close());

function start(corsOrigins: CorsOrigins, substitutes?: Substitutes) {
  if (corsOrigins === '*' && substitutes === undefined) return shared;
  const { app } = httpApp({ corsOrigins, ...substitutes });
  started.push(app);
  return app;
}

const PAGE = 'https://page.example';
const from = (origin = PAGE) => ({ origin });
const preflight = (method = 'PUT', origin = PAGE) => ({
  origin,
  'access-control-request-method': method,
  'access-control-request-headers': 'authorization, content-type, idempotency-key',
});
const corsHeadersOf = (headers: object) => Object.keys(headers).filter((name) => name.startsWith('access-control-'));

describe('a page of another origin', () => {
  it.each([
    ['an answer', 'GET', '/songs', 200],
    ['a missing resource', 'GET', '/albums/album-1', 404],
    ['an unknown address', 'GET', '/nothing', 404],
    ['an id that cannot be decoded', 'GET', '/albums/%E0%A4%A', 404],
    ['an address that cannot be decoded', 'GET', '/%ff?title=%41', 404],
    ['an unsupported method', 'PATCH', '/songs', 405],
    ['an invalid body', 'POST', '/albums', 400],
    ['a missing login', 'GET', '/playlists', 401],
    ['a rate limit', 'POST', '/users', 429],
  ] as const)('reads %s, and the headers that it needs', async (_, method, url, status) => {
    const limits = { rates: { ...noRates, register: { count: 1, seconds: 60 } } };
    const app = start('*', limits);
    await app.inject({ method: 'POST', url: '/users', body: {} });
    const { statusCode, headers } = await app.inject({ method, url, headers: from() });
    expect([statusCode, headers['access-control-allow-origin'], headers.vary]).toEqual([status, '*', undefined]);
    expect(headers).not.toHaveProperty('access-control-allow-credentials');
    expect(String(headers['access-control-expose-headers']).split(', ').sort()).toEqual([
      ...['Content-Disposition', 'Content-Range', 'ETag', 'Idempotency-Replayed', 'Location', 'RateLimit'],
      ...['RateLimit-Policy', 'Retry-After', 'X-Data-Source', 'X-Request-Id'],
    ]);
  });

  it('can read the 503 while access is unknown', async () => {
    const access = { isCurrent: () => false, judge: () => undefined, onChange: () => () => undefined, recheck: () => Promise.resolve() }; // prettier-ignore
    const app = start('*', { access });
    await app.ready();
    const authorization = `Bearer ${app.jwt.access.sign({ sub: 'user-1', role: 'user', jti: 'j' })}`;
    const { statusCode, headers } = await app.inject({ url: '/songs', headers: { ...from(), authorization } });
    expect([statusCode, headers['access-control-allow-origin'], headers['x-content-type-options']]).toEqual([
      503,
      '*',
      'nosniff',
    ]);
  });

  it.each([
    ['PUT', '/albums/album-1'],
    ['POST', '/songs'],
    ['DELETE', '/playlists/p'],
    ['PATCH', '/jobs/j'],
    ['GET', '/files/f/content'],
  ])('gets a cacheable preflight for %s %s', async (method, url) => {
    const answer = await start('*').inject({ method: 'OPTIONS', url, headers: preflight(method) });
    expect([answer.statusCode, answer.json<{ status: string }>().status]).toEqual([200, 'success']);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': expect.stringContaining(method),
      'access-control-allow-headers': 'authorization, content-type, idempotency-key',
      'access-control-max-age': '7200',
    });
  });

  it('is allowed only if its origin is in the list', async () => {
    const app = start([PAGE, 'http://localhost:3000']);
    const allowed = async (origin: string, headers: object = from(origin)) => {
      const answer = await app.inject({ url: '/songs', headers: { ...headers } });
      expect([answer.statusCode, answer.headers.vary]).toEqual([200, 'Origin']);
      return answer.headers['access-control-allow-origin'];
    };
    expect(await allowed(PAGE)).toBe(PAGE);
    expect(await allowed('http://localhost:3000')).toBe('http://localhost:3000');
    for (const other of ['http://page.example', `${PAGE}.evil.example`, `${PAGE}:8443`, 'null', PAGE.toUpperCase()])
      expect([other, await allowed(other)]).toEqual([other, undefined]);
    expect(await allowed('', {})).toBeUndefined();
    const asked = await app.inject({
      method: 'OPTIONS',
      url: '/songs',
      headers: preflight('POST', 'https://other.example'),
    });
    expect(asked.headers).not.toHaveProperty('access-control-allow-origin');
  });

  it('is not allowed when CORS is off', async () => {
    const app = start('off');
    for (const method of ['GET', 'OPTIONS'] as const) {
      const { statusCode, headers } = await app.inject({ method, url: '/songs', headers: preflight() });
      expect([statusCode, corsHeadersOf(headers), headers.vary]).toEqual([200, [], undefined]);
    }
  });
});

describe('OPTIONS', () => {
  it.each(['/songs/a/b/c', '/nothing', '/albums/a/'])('of %s is 404, with and without an Origin', async (url) => {
    for (const headers of [{}, from(), preflight()])
      expect((await start('*').inject({ method: 'OPTIONS', url, headers })).statusCode).toBe(404);
  });

  it.each([{}, from()])('without a requested method (%j) lists the methods', async (headers) => {
    const answer = await start('*').inject({ method: 'OPTIONS', url: '/songs', headers });
    expect([answer.statusCode, answer.headers.allow]).toEqual([200, 'GET, HEAD, OPTIONS, POST']);
    expect(answer.json<{ data: object }>().data).toEqual({ methods: ['GET', 'HEAD', 'OPTIONS', 'POST'] });
  });

  it('is not rate limited', async () => {
    const few = { count: 1, seconds: 60 };
    const app = start('*', { rates: { ...noRates, default: few, login: few, register: few } });
    for (const url of ['/users', '/authentications', '/songs', '/users', '/authentications', '/songs'])
      expect((await app.inject({ method: 'OPTIONS', url, headers: preflight('POST') })).statusCode).toBe(200);
    expect((await app.inject({ url: '/songs' })).statusCode).toBe(200);
    expect((await app.inject({ url: '/songs' })).statusCode).toBe(429);
  });
});

describe('an internal address', () => {
  const addresses = ['/livez', '/readyz', '/health', '/metrics', '/admin/providers', '/admin/nothing', '/console', '/console/x', '/%61dmin/providers']; // prettier-ignore

  it.each(addresses)('cannot be used by a page of another origin: %s', async (url) => {
    const app = start('*');
    for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS'] as const) {
      const { headers } = await app.inject({ method, url, headers: preflight(method) });
      expect([method, corsHeadersOf(headers), headers.vary]).toEqual([method, [], undefined]);
    }
  });

  it.each(['/administrators', '/healthy', '/songs/admin'])('is not every similar path: %s', async (url) => {
    expect(corsHeadersOf((await start('*').inject({ url, headers: from() })).headers)).not.toEqual([]);
  });
});
