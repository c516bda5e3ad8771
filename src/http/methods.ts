import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type CorsOrigins, isInternal, shareWithOrigins } from './cors.ts';
import { methodNotAllowed, routeNotFound } from './errors.ts';
import { pathOf } from './request-target.ts';

/** The route that @fastify/cors registers for every OPTIONS. It is not an address of the API. */
const ANY_OPTIONS = '*';

/**
 * Answers requests that match no route, before their body is read: OPTIONS at a known address, another method there (405 with
 * Allow), and unknown addresses (404). Call it before the routes are registered.
 */
export function answerUnrouted(app: FastifyInstance, corsOrigins: CorsOrigins): void {
  const methodsAt = methodsByPath(app);
  // Runs after the hooks of the plugins that were registered before, because it ends the request.
  const answerWhere = (isIncluded: (path: string) => boolean) =>
    app.after(() => {
      app.addHook('onRequest', (request, reply, next) => {
        const path = isUnrouted(request) ? decodedPath(request.url) : undefined;
        if (path !== undefined && isIncluded(path)) answer(request, reply, methodsAt(path), next);
        else next();
      });
    });
  // Internal addresses are answered before CORS adds its headers.
  answerWhere(isInternal);
  shareWithOrigins(app, corsOrigins);
  answerWhere(() => true);
  app.setNotFoundHandler(() => {
    throw routeNotFound();
  });
}

/** Returns the methods of an address; none when it is unknown. */
function methodsByPath(app: FastifyInstance): (path: string) => string[] {
  const known = new Map<string, { pattern: RegExp; methods: Set<string> }>();
  app.addHook('onRoute', ({ url, method }) => {
    if (url === ANY_OPTIONS) return;
    const entry = known.get(url) ?? { pattern: patternOf(url), methods: new Set(['OPTIONS']) };
    for (const each of [method].flat()) entry.methods.add(each);
    known.set(url, entry);
  });
  return (path) => {
    const matching = [...known.values()].filter(({ pattern }) => pattern.test(path));
    return [...new Set(matching.flatMap(({ methods }) => [...methods]))].sort();
  };
}

const isUnrouted = ({ is404, routeOptions }: FastifyRequest): boolean => is404 || routeOptions.url === ANY_OPTIONS;

function answer(request: FastifyRequest, reply: FastifyReply, methods: string[], next: (error: Error) => void): void {
  const allow = methods.join(', ');
  if (methods.length === 0) next(routeNotFound());
  else if (request.method !== 'OPTIONS') next(methodNotAllowed(request.method, allow));
  else void reply.header('allow', allow).send({ status: 'success', data: { methods } });
}

/** `/albums/:id` → one segment after `/albums/`; `/files/*` → anything after `/files/`. One pass, so that no part is replaced twice. */
function patternOf(url: string): RegExp {
  const source = url.replace(/:\w+|\*|[.+?^$()[\]{}|\\]/g, (part) => {
    if (part === '*') return '.*';
    return part.startsWith(':') ? '[^/]*' : `\\${part}`;
  });
  return new RegExp(`^${source}$`, 's');
}

/** Leaves `%2F` encoded, so that it stays part of its segment. Paths that cannot be decoded never get here. */
const decodedPath = (url: string): string => decodeURI(pathOf(url));
