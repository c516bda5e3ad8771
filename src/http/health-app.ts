import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { bareApp, registerNamed } from './bare-app.ts';
import type { Health } from './health.ts';
import { healthRoutes } from './routes/health.ts';

export interface HealthAppDependencies {
  readonly health: Health;
  readonly logger: Logger;
  readonly metricsRegistry: Registry;
}

/** Builds an app with the probes alone, for a process without the API. */
export function buildHealthApp({ health, logger, metricsRegistry }: HealthAppDependencies): FastifyInstance {
  const app = bareApp(logger, { bodyBytes: 1_024, bodyDepth: 1, bodyFields: 1 });
  registerNamed(app, { health: healthRoutes(health, metricsRegistry) });
  return app;
}
