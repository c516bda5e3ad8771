import { afterEach, describe, expect, it } from '@jest/globals';
import { httpApp, noRates, type Substitutes } from '../../test/support/http-app.ts';
import type { CorsOrigins } from './cors.ts';

const started: { close(): Promise<unknown> }[] = [];
afterEach(() => Promise.all(started.splice(0).map((app) => app.close())));

function start(corsOrigins: CorsOrigins, substitutes: Substitutes = {}) {
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
    ['what is not there', 'GET', '/albums/album-1', 404],
    ['an address where there is nothing', 'GET', '/nothing', 404],
    ['an id that cannot be decoded', 'GET', '/albums/%E0%A4%A', 404],
    ['an address that cannot be decoded', 'GET', '/%ff?title=%41', 404],
    ['a method that there is not', 'PATCH', '/songs', 405],
    ['a body that is wrong', 'POST', '/albums', 400],
    ['that it must log in', 'GET', '/playlists', 401],
    ['what is limited', 'POST', '/users', 429],
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

  it('reads that it is not known who is logged in', async () => {
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
  ])('may ask before it sends %s to %s, and remembers it', async (method, url) => {
    const answer = await start('*').inject({ method: 'OPTIONS', url, headers: preflight(method) });
    expect([answer.statusCode, answer.json<{ status: string }>().status]).toEqual([200, 'success']);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': expect.stringContaining(method),
      'access-control-allow-headers': 'authorization, content-type, idempotency-key',
      'access-control-max-age': '7200',
    });
  });

  it('is one of a list, or gets no leave', async () => {
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

  it('gets no leave where there is none to get', async () => {
    const app = start('off');
    for (const method of ['GET', 'OPTIONS'] as const) {
      const { statusCode, headers } = await app.inject({ method, url: '/songs', headers: preflight() });
      expect([statusCode, corsHeadersOf(headers), headers.vary]).toEqual([200, [], undefined]);
    }
  });
});

describe('OPTIONS', () => {
  it.each(['/songs/a/b/c', '/nothing', '/albums/a/'])('of %s is 404, asked by a page or not', async (url) => {
    for (const headers of [{}, from(), preflight()])
      expect((await start('*').inject({ method: 'OPTIONS', url, headers })).statusCode).toBe(404);
  });

  it.each([{}, from()])('without a method to ask for (%j) names those that there are', async (headers) => {
    const answer = await start('*').inject({ method: 'OPTIONS', url: '/songs', headers });
    expect([answer.statusCode, answer.headers.allow]).toEqual([200, 'GET, HEAD, OPTIONS, POST']);
    expect(answer.json<{ data: object }>().data).toEqual({ methods: ['GET', 'HEAD', 'OPTIONS', 'POST'] });
  });

  it('counts against no limit', async () => {
    const few = { count: 1, seconds: 60 };
    const app = start('*', { rates: { ...noRates, default: few, login: few, register: few } });
    for (const url of ['/users', '/authentications', '/songs', '/users', '/authentications', '/songs'])
      expect((await app.inject({ method: 'OPTIONS', url, headers: preflight('POST') })).statusCode).toBe(200);
    expect((await app.inject({ url: '/songs' })).statusCode).toBe(200);
    expect((await app.inject({ url: '/songs' })).statusCode).toBe(429);
  });
});

describe('what is internal', () => {
  const addresses = ['/livez', '/readyz', '/health', '/metrics', '/admin/providers', '/admin/nothing', '/console', '/console/x', '/%61dmin/providers']; // prettier-ignore

  it.each(addresses)('is for no page of another origin: %s', async (url) => {
    const app = start('*');
    for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS'] as const) {
      const { headers } = await app.inject({ method, url, headers: preflight(method) });
      expect([method, corsHeadersOf(headers), headers.vary]).toEqual([method, [], undefined]);
    }
  });

  it.each(['/administrators', '/healthy', '/songs/admin'])('is only what is called so, not %s', async (url) => {
    expect(corsHeadersOf((await start('*').inject({ url, headers: from() })).headers)).not.toEqual([]);
  });
});
