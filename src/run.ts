import path from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { keepCompiled } from './compile-cache.ts';
import { loadConfig, redacted, rootWarnings, warningsOf } from './config.ts';
import { loggedError, reasonOf } from './errors.ts';
import type { Faults } from './faults.ts';
import { Lifecycle } from './lifecycle.ts';
import { keepPrivate } from './private-data.ts';
import { stopSignal } from './stop-signal.ts';

keepCompiled();

/** Runs this process to its end, and ends it with code 1 when its settings are wrong. */
export function run(faults: Faults = {}): void {
  main(faults).catch((error: unknown) => {
    process.stderr.write(`openmusic: ${reasonOf(error)}\n`);
    process.exit(1);
  });
}

/** Starts the roles of this process and stops them at the first signal to end; a second one ends at once. */
async function main(faults: Faults): Promise<void> {
  const config = loadConfig();
  const logger = pino({ level: config.LOG_LEVEL, base: undefined, serializers: { err: loggedError } });
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
  try {
    const { startRoles } = await import('./roles/roles.ts');
    await startRoles({
      config,
      logger,
      lifecycle,
      faults,
      registry: new Registry(),
      crash: (error) => void end(error.message, 1),
    });
  } catch (error) {
    logger.fatal(reasonOf(error));
    await end('could not start', 1);
  }
}
