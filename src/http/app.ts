import { readFileSync } from 'node:fs';
import Fastify, { LogController, type FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { newId } from '../events/ids.ts';
import { answerErrors } from './errors.ts';
import type { Health } from './health.ts';
import { acceptJsonBodies } from './json-body.ts';
import { answerMalformed } from './malformed.ts';
import { answerUnrouted } from './methods.ts';
import { nodeServer } from './node-server.ts';
import { observe } from './observe.ts';
import { describeApi } from './openapi.ts';
import { albumRoutes, type CatalogDependencies } from './routes/albums.ts';
import { healthRoutes } from './routes/health.ts';
import { rootRoutes } from './routes/root.ts';
import { songRoutes } from './routes/songs.ts';
import { validatorCompiler } from './validation.ts';

export interface Limits {
  /** Of a JSON body. */
  readonly bodyBytes: number;
  readonly bodyDepth: number;
}

export interface AppDependencies extends CatalogDependencies {
  readonly publicUrl: string;
  readonly health: Health;
  readonly logger: Logger;
  readonly metricsRegistry: Registry;
  readonly limits: Limits;
  /** Whether strangers are to be expected. */
  readonly production: boolean;
}

export type HealthAppDependencies = Pick<AppDependencies, 'health' | 'logger' | 'metricsRegistry'>;

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** The API. `startHttp` lets it listen; tests inject. */
export function buildApp(deps: AppDependencies): FastifyInstance {
  const { logger, publicUrl, catalogWrites, production } = deps;
  if (production && catalogWrites === 'open') {
    logger.warn('CATALOG_WRITES is open: anybody who reaches this server can change the catalog');
  }
  const app = bareApp(logger, deps.limits);
  observe(app, deps.metricsRegistry, logger);
  describeApi(app, { version, publicUrl });
  app.register(rootRoutes({ version, publicUrl }));
  app.register(albumRoutes(deps));
  app.register(songRoutes(deps));
  app.register(healthRoutes(deps.health, deps.metricsRegistry));
  return app;
}

/** The probes alone, for a process without the API. */
export function buildHealthApp({ health, logger, metricsRegistry }: HealthAppDependencies): FastifyInstance {
  const app = bareApp(logger, { bodyBytes: 1_024, bodyDepth: 1 });
  app.register(healthRoutes(health, metricsRegistry));
  return app;
}

/** What every route has in common: limits, ids, JSON in and out, errors. */
function bareApp(logger: Logger, limits: Limits) {
  const app = Fastify({
    serverFactory: nodeServer,
    clientErrorHandler: answerMalformed,
    frameworkErrors: (error, request, reply) => answerError(error, request, reply),
    bodyLimit: limits.bodyBytes,
    // An id is as long as it likes: the limit is that of the request line.
    routerOptions: { maxParamLength: 65_536 },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers }) => saneId(headers['x-request-id']) ?? newId(),
  }).withTypeProvider<ZodTypeProvider>();
  const answerError = answerErrors(logger);

  app.setValidatorCompiler(validatorCompiler);
  // The schemas of answers are checked by tests: the handlers' answers are ours, and this is the fastest.
  app.setSerializerCompiler(() => JSON.stringify);
  app.setErrorHandler(answerError);
  acceptJsonBodies(app, limits.bodyDepth);
  app.addHook('onRequest', (request, reply, next) => {
    reply.header('x-request-id', request.id);
    next();
  });
  answerUnrouted(app);
  return app;
}

/** A client's own request id is kept when it can be shown, stored and logged as it is. */
const saneId = (id: string | string[] | undefined): string | undefined =>
  typeof id === 'string' && /^[\x21-\x7e]{1,100}$/.test(id) ? id : undefined;
