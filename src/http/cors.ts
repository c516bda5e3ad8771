import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `false`: not for pages of other origins. */
    cors?: false;
  }
}

/** The origins whose pages may use the API: every one, these, or none. */
export type CorsOrigins = '*' | readonly string[] | 'off';

/** What a page may read of an answer beside the few headers that every page may. */
const EXPOSED = [
  ...['ETag', 'Location', 'X-Data-Source', 'X-Request-Id', 'Idempotency-Replayed'],
  ...['RateLimit', 'RateLimit-Policy', 'Retry-After', 'Content-Disposition', 'Content-Range'],
];

/** Seconds. Chromium keeps a preflight for no longer. */
const MAX_AGE = 7_200;

/** Addresses for the programs that watch a process. */
export const isProbe = (path: string): boolean => /^\/(?:livez|readyz|health|metrics)(?:\/|$)/.test(path);

/** Those, and what is for operators: no page of another origin uses it. */
export const isInternal = (path: string): boolean => isProbe(path) || /^\/(?:admin|console)(?:\/|$)/.test(path);

/**
 * Lets pages of these origins use what is not internal. The plugin only adds headers: OPTIONS is answered as ever, which is
 * good for a preflight as well. Its tokens come in a header, so no credentials of a browser are needed. Register before the routes.
 */
export function shareWithOrigins(app: FastifyInstance, origins: CorsOrigins): void {
  if (origins === 'off') return;
  app.addHook('onRoute', (route) => {
    if (isInternal(route.url)) route.config = { ...route.config, cors: false };
  });
  app.register(cors, {
    origin: origins === '*' ? '*' : [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: EXPOSED,
    maxAge: MAX_AGE,
    preflightContinue: true,
    strictPreflight: false,
  });
}
