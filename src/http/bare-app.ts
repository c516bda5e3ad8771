import Fastify, {
  LogController,
  type FastifyInstance,
  type FastifyPluginCallback,
  type FastifyServerOptions,
} from 'fastify';
import type { FastifyPluginAsyncZod, FastifyPluginCallbackZod, ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import { newId } from '../events/ids.ts';
import { REQUEST_LENGTH } from '../text.ts';
import type { CorsOrigins } from './cors.ts';
import { answerErrors } from './errors.ts';
import { withoutPorts } from './forwarded.ts';
import { mustNameHost } from './host.ts';
import { acceptJsonBodies, type JsonLimits } from './json-body.ts';
import { answerMalformed } from './malformed.ts';
import { answerUnrouted } from './methods.ts';
import { nodeServer } from './node-server.ts';
import { raiseBodyLimits } from './promised-bytes.ts';
import { decodable, originForm } from './request-target.ts';
import { secureHeaders } from './secure-headers.ts';
import { validatorCompiler } from './validation.ts';

export interface BodyLimits extends JsonLimits {
  /** Bytes of a JSON body, except for batches. */
  readonly bodyBytes: number;
}

type Compilers = NonNullable<FastifyServerOptions['schemaController']>['compilersFactory'];

/**
 * Tests check answers against their schemas, so `JSON.stringify`, which is the fastest, is enough at run time. Without these
 * compilers Fastify loads its own, a sixth of the modules of an API process. The cast is needed because Fastify types them as its own.
 */
const compilersFactory = {
  buildValidator: () => validatorCompiler,
  buildSerializer: () => () => JSON.stringify,
} as unknown as Compilers;

export interface ProxyOptions {
  /** Addresses or networks of proxies whose `X-Forwarded-For` is used. */
  readonly trustProxy?: readonly string[];
  /** Without it no page of another origin can use the app. */
  readonly corsOrigins?: CorsOrigins;
}

/** Creates an app with what all routes share: limits, request ids, JSON bodies, errors. */
export function bareApp(
  logger: Logger,
  limits: BodyLimits,
  { trustProxy = [], corsOrigins = 'off' }: ProxyOptions = {},
) {
  const app = Fastify({
    serverFactory: nodeServer,
    rewriteUrl: ({ url = '/' }) => decodable(originForm(url)),
    clientErrorHandler: answerMalformed,
    frameworkErrors: (error, request, reply) => answerError(error, request, reply),
    bodyLimit: limits.bodyBytes,
    trustProxy: trustProxy.length > 0 ? [...trustProxy] : false,
    // Ids have no limit of their own: the limit of the request line applies.
    routerOptions: { maxParamLength: REQUEST_LENGTH },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    logController: new LogController({ disableRequestLogging: true }),
    schemaController: { compilersFactory },
    genReqId: ({ headers }) => saneId(headers['x-request-id']) ?? newId(),
  }).withTypeProvider<ZodTypeProvider>();
  const answerError = answerErrors(logger);

  app.setErrorHandler(answerError);
  acceptJsonBodies(app, limits);
  raiseBodyLimits(app, limits.bodyBytes);
  app.addHook('onRequest', (request, reply, next) => {
    reply.header('x-request-id', request.id);
    next();
  });
  if (trustProxy.length > 0) app.addHook('onRequest', withoutPorts);
  app.addHook('onRequest', mustNameHost);
  secureHeaders(app);
  answerUnrouted(app, corsOrigins);
  return app;
}

/** A client's own request id is used when it can be logged and returned unchanged. */
const saneId = (id: string | string[] | undefined): string | undefined =>
  typeof id === 'string' && /^[\x21-\x7e]{1,100}$/.test(id) ? id : undefined;

type Plugin = FastifyPluginCallback | FastifyPluginCallbackZod | FastifyPluginAsyncZod;

/** Names each plugin: for a plugin without a name Fastify searches every loaded module, which was most of an app's start under Jest. */
export function registerNamed(api: FastifyInstance, plugins: Record<string, Plugin>): void {
  for (const [name, plugin] of Object.entries(plugins))
    api.register(Object.assign(plugin, { [Symbol.for('fastify.display-name')]: name }));
}
