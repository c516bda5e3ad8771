import type { FastifyInstance, FastifyReply, onRequestAsyncHookHandler } from 'fastify';
import { isAdmin } from './access.ts';
import { callerOf } from './auth.ts';
import { createPlaces, placeFor, type Places } from './places.ts';
import { senderOf } from './rate-limits.ts';

/** Large bodies of JSON at once: of one account, and of all. Each is held in memory until it is answered. */
const LARGE_BODIES = { each: 4, all: 32, waiting: 16, waitMs: 10_000 };
/** Covers at once: from one address, and of all. */
const COVERS = { each: 16, all: 64, waiting: 100, waitMs: 10_000 };

/** Before a body is read that may be larger than `bytes`, an admin takes a place; of others no more is kept. Registers before the routes. */
export function limitLargeBodies(app: FastifyInstance, bytes: number): void {
  const places = createPlaces(LARGE_BODIES);
  const takePlace: onRequestAsyncHookHandler = async (request, reply) => {
    const length = Number(request.headers['content-length'] ?? Infinity);
    if (isAdmin(request) && length > bytes) await seat(places, callerOf(request), reply);
  };
  app.addHook('onRoute', (route) => {
    if ((route.bodyLimit ?? 0) > bytes) route.onRequest = [...[route.onRequest ?? []].flat(), takePlace];
  });
}

/** Stands before the routes that take a cover. */
export function limitCovers(): onRequestAsyncHookHandler {
  const places = createPlaces(COVERS);
  return (request, reply) => seat(places, senderOf(request), reply);
}

const seat = (places: Places, key: string, reply: FastifyReply) =>
  placeFor(places, key, reply, 'Too many large bodies are being sent at once.');
