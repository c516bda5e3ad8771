import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type CorsOrigins, isInternal, shareWithOrigins } from './cors.ts';
import { methodNotAllowed, routeNotFound } from './errors.ts';
import { pathOf } from './request-target.ts';

/** The route by which @fastify/cors gets every OPTIONS. It is no address. */
const ANY_OPTIONS = '*';

/**
 * Answers what no route does, before the body is looked at: OPTIONS of a known address, another method there (405 with
 * Allow), and an address at which there is nothing (404). Register before the routes.
 */
export function answerUnrouted(app: FastifyInstance, corsOrigins: CorsOrigins): void {
  const methodsAt = methodsByPath(app);
  // After the plugins that were registered before have added their hooks: this one ends the request.
  const answerWhere = (isIncluded: (path: string) => boolean) =>
    app.after(() => {
      app.addHook('onRequest', (request, reply, next) => {
        const path = isUnrouted(request) ? decodedPath(request.url) : undefined;
        if (path !== undefined && isIncluded(path)) answer(request, reply, methodsAt(path), next);
        else next();
      });
    });
  // What is internal is answered before CORS has added its headers.
  answerWhere(isInternal);
  shareWithOrigins(app, corsOrigins);
  answerWhere(() => true);
  app.setNotFoundHandler(() => {
    throw routeNotFound();
  });
}

/** The methods that an address takes; none where there is nothing. */
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

/** `/albums/:id` → one segment after `/albums/`; `/files/*` → anything after `/files/`. In one pass: each part becomes a pattern once. */
function patternOf(url: string): RegExp {
  const source = url.replace(/:\w+|\*|[.+?^$()[\]{}|\\]/g, (part) => {
    if (part === '*') return '.*';
    return part.startsWith(':') ? '[^/]*' : `\\${part}`;
  });
  return new RegExp(`^${source}$`, 's');
}

/** Decodes no `%2F`, so that it stays part of its segment. Fastify has answered what cannot be decoded. */
const decodedPath = (url: string): string => decodeURI(pathOf(url));
