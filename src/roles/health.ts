import { createHealth, type Health } from '../http/health.ts';
import { buildHealthApp } from '../http/health-app.ts';
import { startHttp } from '../http/server.ts';
import { consumersProbe, databaseProbe, lifeOf, logProbe } from '../probes.ts';
import type { Context, Part } from './context.ts';

/** The health of a process by the probes of its parts, in their order. */
export function createProcessHealth(
  { config, logger, resources, consumers }: Context,
  parts: readonly (Part<unknown> | undefined)[],
): Health {
  const hasApi = config.ROLES.includes('api');
  const consumes = config.ROLES.some((role) => role !== 'api');
  const probes = {
    database: databaseProbe(resources),
    log: logProbe(resources),
    ...Object.fromEntries(parts.flatMap((part) => Object.entries(part?.probes ?? {}))),
    ...(consumes && { consumers: consumersProbe(consumers, hasApi) }),
  };
  return createHealth({ probes, alive: () => lifeOf(consumers, { hasApi }), logger });
}

/** Serves the probes of a process that has no API. */
export async function startHealth(
  { config, lifecycle, logger, registry }: Context,
  health: Health,
  port: number,
): Promise<void> {
  const app = buildHealthApp({ health, logger, metricsRegistry: registry });
  const server = await startHttp(app, { host: config.HOST, port });
  lifecycle.add('health', server);
  logger.info(`probes on ${server.url}`);
}
