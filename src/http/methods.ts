import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { methodNotAllowed, routeNotFound } from './errors.ts';

/**
 * Answers what no route does, before the body is looked at: OPTIONS of a known address, another method there (405 with
 * Allow), and an address at which there is nothing (404). Register before the routes.
 */
export function answerUnrouted(app: FastifyInstance): void {
  const known = new Map<string, { pattern: RegExp; methods: Set<string> }>();
  app.addHook('onRoute', ({ url, method }) => {
    const entry = known.get(url) ?? { pattern: patternOf(url), methods: new Set(['OPTIONS']) };
    for (const each of [method].flat()) entry.methods.add(each);
    known.set(url, entry);
  });

  const methodsAt = (path: string): string[] => {
    const matching = [...known.values()].filter(({ pattern }) => pattern.test(path));
    return [...new Set(matching.flatMap(({ methods }) => [...methods]))].sort();
  };

  // After the plugins that were registered before have added theirs: this one ends the request.
  app.after(() => {
    app.addHook('onRequest', (request, reply, next) => {
      if (request.is404) answer(request, reply, methodsAt(decodedPath(request.url)), next);
      else next();
    });
  });
  app.setNotFoundHandler(() => {
    throw routeNotFound();
  });
}

function answer(request: FastifyRequest, reply: FastifyReply, methods: string[], next: (error: Error) => void): void {
  const allow = methods.join(', ');
  if (methods.length === 0) next(routeNotFound());
  else if (request.method !== 'OPTIONS') next(methodNotAllowed(request.method, allow));
  else void reply.header('allow', allow).send({ status: 'success', data: { methods } });
}

/** `/albums/:id` → one segment after `/albums/`; `/files/*` → anything after `/files/`. */
function patternOf(url: string): RegExp {
  const source = url
    .replace(/[.+?^$()[\]{}|\\]/g, '\\$&')
    .replace(/:\w+/g, '[^/]*')
    .replaceAll('*', '.*');
  return new RegExp(`^${source}$`, 's');
}

/** Decodes no `%2F`, so that it stays part of its segment. Fastify has answered what cannot be decoded. */
const decodedPath = (url: string): string => decodeURI(url.split('?', 1)[0] ?? '');
