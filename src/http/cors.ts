import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `false`: pages of other origins cannot use the route. */
    cors?: false;
  }
}

/** The origins whose pages may use the API: every one, these, or none. */
export type CorsOrigins = '*' | readonly string[] | 'off';

/** Response headers that a page may read besides the CORS-safelisted ones. */
const EXPOSED = [
  ...['ETag', 'Location', 'X-Data-Source', 'X-Request-Id', 'Idempotency-Replayed'],
  ...['RateLimit', 'RateLimit-Policy', 'Retry-After', 'Content-Disposition', 'Content-Range'],
];

/** Seconds; the longest that Chromium caches a preflight. */
const MAX_AGE = 7_200;

/** Paths for monitoring. */
export const isProbe = (path: string): boolean => /^\/(?:livez|readyz|health|metrics)(?:\/|$)/.test(path);

/** Paths for monitoring and for operators, which no page of another origin uses. */
export const isInternal = (path: string): boolean => isProbe(path) || /^\/(?:admin|console)(?:\/|$)/.test(path);

/**
 * Lets pages of these origins use all routes that are not internal. The plugin only adds headers: the usual answer to OPTIONS
 * also answers a preflight. Tokens come in a header, so no browser credentials are needed. Call it before the routes are registered.
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
