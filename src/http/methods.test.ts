import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type AnswerBody, httpApp } from '../../test/support/http-app.ts';

const { app } = httpApp();
afterAll(() => app.close());

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

describe('an address below another', () => {
  it.each([
    '/albums/album-1/',
    '/albums/album-1/songs',
    '/songs/x/y',
    '/songs/a/b/c',
    '/playlists/p/songs/s',
    '/jobs/j/events/1',
    '/covers/a/b',
    '/health/x',
    '/albums/a%0Ab/c',
  ])('%s is 404 for every method', async (url) => {
    for (const method of [...METHODS, 'OPTIONS'] as const) {
      const answer = await app.inject({ method, url });
      expect([method, answer.statusCode, answer.headers.allow]).toEqual([method, 404, undefined]);
      if (method !== 'HEAD') expect(answer.json<AnswerBody>().code).toBe('ROUTE_NOT_FOUND');
    }
  });

  it.each([
    ['/albums/a%2Fb', 'DELETE, GET, HEAD, OPTIONS, PUT'],
    ['/albums//likes', 'DELETE, GET, HEAD, OPTIONS, POST'],
    ['/albums/', 'DELETE, GET, HEAD, OPTIONS, PUT'],
    ['/docs/static/a/b', 'GET, HEAD, OPTIONS'],
    ['/v1/download/check', 'OPTIONS, POST'],
    ['/jobs/j/events', 'GET, OPTIONS'],
  ])('%s takes %s', async (url, allow) => {
    const answer = await app.inject({ method: 'OPTIONS', url });
    expect([answer.statusCode, answer.headers.allow]).toEqual([200, allow]);
    expect(answer.json<{ data: object }>().data).toEqual({ methods: allow.split(', ') });
  });
});

it('OPTIONS lists exactly the methods that the router has for an address', async () => {
  const segment = fc.constantFrom(
    ...[
      'albums',
      'songs',
      'playlists',
      'jobs',
      'likes',
      'covers',
      'users',
      'v1',
      'download',
      'check',
      'files',
      'admin',
    ],
    ...['events', 'content', 'docs', 'static', 'health', 'x', '', '%2F', '*', ':id', '.', 'album-1', '%61lbums'],
  );
  const addresses = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => `/${segments.join('/')}`);
  const agrees = async (url: string) => {
    const options = await app.inject({ method: 'OPTIONS', url });
    const named = options.statusCode === 404 ? [] : String(options.headers.allow).split(', ');
    for (const method of METHODS) {
      const { statusCode, headers } = await app.inject({ method, url });
      const isRefused = headers.allow !== undefined || named.length === 0;
      expect([url, method, isRefused]).toEqual([url, method, !named.includes(method)]);
      if (headers.allow !== undefined) expect([statusCode, headers.allow]).toEqual([405, named.join(', ')]);
      if (named.length === 0) expect([url, method, statusCode]).toEqual([url, method, 404]);
    }
  };
  await fc.assert(fc.asyncProperty(addresses, agrees), { numRuns: 100 });
});
