import path from 'node:path';
import { Registry } from 'prom-client';
import { keepCompiled } from './compile-cache.ts';
import { type Config, loadConfig, redacted, rootWarnings, warningsOf } from './config.ts';
import { reasonOf } from './errors.ts';
import type { Faults } from './faults.ts';
import { Lifecycle } from './lifecycle.ts';
import { openLogger } from './logger.ts';
import { keepPrivate } from './private-data.ts';
import type { Context, ProcessOptions } from './roles/context.ts';
import { stopSignal } from './stop-signal.ts';

// Only what is imported afterwards is kept, so that the parts below are imported where they are started.
keepCompiled();
if (import.meta.main) run();

/** Runs a process of OpenMusic to its end: settings, resources, roles, stop. Ends it with code 1 when its settings are wrong. */
export function run(faults: Faults = {}): void {
  start(faults).catch((error: unknown) => {
    process.stderr.write(`openmusic: ${reasonOf(error)}\n`);
    process.exit(1);
  });
}

/** Starts the roles of this process and stops them at the first signal to end; a second one ends it at once. */
async function start(faults: Faults): Promise<void> {
  const config = loadConfig();
  const logger = await openLogger(config.LOG_LEVEL);
  for (const warning of [...warningsOf(config), ...rootWarnings(config, process.getuid?.())]) logger.warn(warning);
  logger.debug(redacted(config), 'configuration');
  const dataDir = path.resolve(config.DATA_DIR);
  const leadsToPostgres = config.PGHOST ? [] : [dataDir];
  await keepPrivate(dataDir, { leadsToPostgres, report: (message) => logger.warn(message) });
  const lifecycle = new Lifecycle((message) => logger.error(message));
  const end = async (why: string, code: number) => {
    logger.info(`${why}: stopping`);
    await lifecycle.stop();
    logger.info('stopped');
    process.exit(code);
  };
  stopSignal(process, { first: (signal) => void end(signal, 0), second: () => process.exit(130) });
  const crash = (error: Error) => void end(error.message, 1);
  try {
    await startRoles({ config, logger, lifecycle, faults, registry: new Registry(), crash });
  } catch (error) {
    logger.fatal(reasonOf(error));
    await end('could not start', 1);
  }
}

/**
 * Starts what ROLES names, in this order. Each part takes what it needs and returns its service and its probes. What a role does
 * not need is not imported: routes and job types are half of all modules.
 */
async function startRoles(options: ProcessOptions): Promise<void> {
  const { config } = options;
  const has = (...roles: Config['ROLES']) => roles.some((role) => config.ROLES.includes(role));
  const working = ['exporter', 'worker', 'scheduler'] as const;

  const base = await import('./roles/base.ts');
  const context: Context = await base.openContext(options);

  const publishes = has('publisher') && config.KAFKA_BROKERS !== undefined;
  const reads = has('api', ...working) || publishes ? (await import('./roles/reads.ts')).openReads(context) : undefined;
  const cache = base.openCache(context, reads?.service);
  const logWatch = config.KAFKA_BROKERS ? base.startLogWatch(context) : undefined;

  const projector = has('projector') ? await base.addProjector(context, cache.service) : undefined;
  const publisher =
    reads && publishes ? await (await import('./roles/publisher.ts')).addPublisher(context, reads.service) : undefined;
  const needsServices = has('api', ...working);
  const services =
    reads && needsServices
      ? await (await import('./roles/services.ts')).openServices(context, reads.service)
      : undefined;
  const workers =
    services && has(...working)
      ? await (await import('./roles/workers.ts')).startWorkers(context, services.service)
      : undefined;
  const queues = has('api') ? (await import('./roles/queue-lags.ts')).watchQueueLags(context) : undefined;

  const parts = [cache, logWatch, projector, publisher, reads, services, workers, queues];
  const health = base.createProcessHealth(context, parts);
  if (has('api') && services) {
    const { startApi } = await import('./roles/api.ts');
    await startApi(context, { services: services.service, cache: cache.service, health });
  } else if (config.HEALTH_PORT !== undefined) await base.startHealth(context, health, config.HEALTH_PORT);
}
