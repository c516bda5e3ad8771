import { Readable } from 'node:stream';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { KEYS } from '../../test/support/keys.ts';
import { forge, now } from '../../test/support/tokens.ts';
import { httpApp, type Substitutes } from '../../test/support/http-app.ts';

/** For tests that substitute nothing: building an app takes 50 ms. */
const { app: shared } = httpApp();
const started: { close(): Promise<unknown> }[] = [];
afterEach(() => Promise.all(started.splice(0).map((app) => app.close())));
afterAll(() => shared.close());

function start(substitutes?: Substitutes) {
  if (substitutes === undefined) return shared;
  const { app } = httpApp(substitutes);
  started.push(app);
  return app;
}

describe('every answer', () => {
  it.each(['/', '/songs', '/playlists', '/nothing/here', '/livez', '/docs', '/docs/json'])(
    '(%s) has nosniff, forbids framing, and leaves HSTS to the proxy',
    async (url) => {
      const { headers } = await start().inject({ url });
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
        'cross-origin-resource-policy': 'same-origin',
      });
      expect(headers).not.toHaveProperty('strict-transport-security');
    },
  );

  it('loads nothing, except that the page loads its own scripts and calls this API', async () => {
    const app = start();
    const policyOf = async (url: string) => String((await app.inject({ url })).headers['content-security-policy']);
    expect(await policyOf('/')).toBe("default-src 'none';frame-ancestors 'none'");
    const page = await policyOf('/docs');
    expect(page).toContain("script-src 'self';");
    expect(page).toContain("connect-src 'self' http://music.test;");
    expect(page).not.toMatch(/script-src[^;]*unsafe|https:|upgrade-insecure-requests/);
  });
});

const file = { size: 1, read: () => Promise.resolve(Readable.from(['x'])), close: () => Promise.resolve() };

it('pages of other origins can embed covers and files', async () => {
  const files = { put: () => Promise.resolve(), open: () => Promise.resolve(file) };
  const url = '/covers/01999d3e-8f5c-7a40-b2f1-0c9a4e6d1b77.png';
  const { headers } = await start({ files, rows: { 'covers-among': [{ cover: url.slice(1) }] } }).inject({ url });
  expect(headers['cross-origin-resource-policy']).toBe('cross-origin');
  expect(headers['content-security-policy']).toBe("default-src 'none'; sandbox");
});

describe('an answer', () => {
  const cacheControlOf = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string) =>
    (await start().inject({ method, url })).headers['cache-control'];

  it('with a token or a link is not stored by caches', async () => {
    for (const method of ['POST', 'PUT', 'DELETE'] as const)
      expect(await cacheControlOf(method, '/authentications')).toBe('no-store');
    const claims = { sub: 'user-1', role: 'user', aud: 'access', jti: 'j', iat: now(), exp: now() + 60 };
    const headers = { authorization: `Bearer ${forge(claims, KEYS.ACCESS_TOKEN_KEY)}` };
    for (const url of ['/jobs/job-1/result', '/v1/download/result/job-1']) {
      const answer = await start().inject({ url, headers });
      expect([url, answer.statusCode, answer.headers['cache-control']]).toEqual([url, 404, 'no-store']);
    }
  });

  it.each([
    '/playlists',
    '/playlists/p/songs',
    '/playlists/p/activities',
    '/jobs',
    '/jobs/j',
    '/jobs/j/items',
    '/files',
  ])('that needs a login is private and must be revalidated: %s', async (url) => {
    expect(await cacheControlOf('GET', url)).toBe('private, no-cache');
  });

  it('that needs no login has no cache header', async () => {
    expect(await cacheControlOf('GET', '/albums/a')).toBeUndefined();
  });
});
