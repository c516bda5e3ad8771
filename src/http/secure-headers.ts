import helmet from '@fastify/helmet';
import type { FastifyInstance, onRequestHookHandler } from 'fastify';

/**
 * Adds security headers to every answer. By default an answer loads nothing and cannot be framed; pages and files set wider policies.
 * TLS ends at a proxy, so the proxy sets HSTS.
 */
export function secureHeaders(app: FastifyInstance): void {
  app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    strictTransportSecurity: false,
    // Headers for discontinued browsers.
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
}

/** For routes that answer with a token or a link: no cache may store it. */
export const noStore: onRequestHookHandler = (_request, reply, next) => {
  reply.header('cache-control', 'no-store');
  next();
};
