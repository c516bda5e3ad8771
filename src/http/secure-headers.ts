import helmet from '@fastify/helmet';
import type { FastifyInstance, onRequestHookHandler } from 'fastify';

/**
 * Headers of every answer. What is no page loads nothing and is shown in no frame; pages and files say what else they may. TLS ends at
 * a proxy, which is who may promise it (HSTS).
 */
export function secureHeaders(app: FastifyInstance): void {
  app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    strictTransportSecurity: false,
    // For browsers that are not made any more.
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
}

/** Stands before what answers with a token or a link: nothing on the way may keep it. */
export const noStore: onRequestHookHandler = (_request, reply, next) => {
  reply.header('cache-control', 'no-store');
  next();
};
