import type { FastifyInstance, onRequestAsyncHookHandler } from 'fastify';
import { createPlaces, type PlacesOptions } from '../concurrency/places.ts';
import { isAdmin } from './access.ts';
import { accountClaim, claimOf, placeFor, tooManyAtOnce } from './places.ts';

const refusal = tooManyAtOnce('Too many large bodies are being sent at once.');
/** Large bodies of JSON at once: of one account, and of all. Each is held in memory until it is answered. */
const LARGE_BODIES = { each: 4, all: 32, waiting: 64, waitMs: 10_000, refusal };
/** Covers at once: from one address, and of all. */
const COVERS = { each: 5, all: 64, waiting: 256, waitMs: 10_000, refusal };

/** Files that are read at once: by one address, and by all, covers and others each. One that is read slowly keeps a connection to S3 as long. */
const FILES = {
  each: 16,
  all: 400,
  waiting: 256,
  waitMs: 10_000,
  refusal: tooManyAtOnce('Too many files are being read at once.'),
};

/** Requests of one account, and of all, that look for many files in the store; each has twenty of its connections at most. */
const CHECKS = { ...FILES, each: 2, all: 10 };

/** Before a body is read that may be larger than `bytes`, an admin takes a place; of others no more is kept. Registers before the routes. */
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

/** Stands before the routes that take a cover. */
export const limitCovers = () => takePlace(COVERS);

/** Stands before a route that sends files. */
export const limitFiles = () => takePlace(FILES);

/** Stands behind the body of the routes, for who is logged in, that look for many files: it holds no memory, so a slow body needs no place. */
export const limitChecks = () => takePlace(CHECKS, accountClaim);

function takePlace(options: PlacesOptions, claim = claimOf): onRequestAsyncHookHandler {
  const places = createPlaces(options);
  return (_request, reply) => placeFor(places, claim(reply));
}
