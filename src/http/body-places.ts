import type { FastifyInstance, onRequestAsyncHookHandler } from 'fastify';
import { createPlaces, type PlacesOptions } from '../concurrency/places.ts';
import { isAdmin } from './access.ts';
import { accountClaim, claimOf, placeFor, tooManyAtOnce } from './places.ts';

const refusal = tooManyAtOnce('Too many large bodies are being sent at once.');
/** Concurrent large JSON bodies, for one account and in all. Each is held in memory until it is answered. */
const LARGE_BODIES = { each: 4, all: 32, waiting: 64, waitMs: 10_000, refusal };
/** Concurrent cover uploads, from one address and in all. */
const COVERS = { each: 5, all: 64, waiting: 256, waitMs: 10_000, refusal };

/** Concurrent downloads, from one address and in all, for covers and other files each. A slow download keeps a connection to S3 open. */
const FILES = {
  each: 16,
  all: 400,
  waiting: 256,
  waitMs: 10_000,
  refusal: tooManyAtOnce('Too many files are being read at once.'),
};

/** Concurrent requests that check many files in the store, for one account and in all. Each uses at most twenty of its connections. */
const CHECKS = { ...FILES, each: 2, all: 10 };

/** An admin's request takes a place before a body larger than `bytes` is read; other accounts cannot send larger ones. Call it before the routes are registered. */
export function limitLargeBodies(app: FastifyInstance, bytes: number): void {
  const places = createPlaces(LARGE_BODIES);
  const onRequest: onRequestAsyncHookHandler = async (request, reply) => {
    const length = Number(request.headers['content-length'] ?? Infinity);
    if (!isAdmin(request) || length <= bytes) return;
    await placeFor(places, accountClaim(reply));
  };
  app.addHook('onRoute', (route) => {
    if ((route.bodyLimit ?? 0) > bytes) route.onRequest = [...[route.onRequest ?? []].flat(), onRequest];
  });
}

/** For the routes that receive a cover. */
export const limitCovers = () => takePlace(COVERS);

/** For a route that sends files. */
export const limitFiles = () => takePlace(FILES);

/** For routes that check many files, after the body was read: a slow body takes no place, because these bodies are small. */
export const limitChecks = () => takePlace(CHECKS, accountClaim);

function takePlace(options: PlacesOptions, claim = claimOf): onRequestAsyncHookHandler {
  const places = createPlaces(options);
  return (_request, reply) => placeFor(places, claim(reply));
}
