import { existsSync } from 'node:fs';
import path from 'node:path';
import { untilAborted } from '../concurrency/sleep.ts';
import { type Config, loadConfig } from '../config.ts';
import { Lifecycle } from '../lifecycle.ts';
import { openLogger } from '../logger.ts';
import { keepPrivate, makePrivate } from '../private-data.ts';
import { openResources, type ResourceOptions, type Resources } from '../resources.ts';
import { type Output, print, printError } from './print.ts';

const STDERR = 2;

export interface CommandContext extends Resources {
  readonly config: Config;
  /** Stops what the command itself opens. */
  readonly lifecycle: Lifecycle;
  readonly logger: ResourceOptions['logger'];
  /** Fires on Ctrl-C. */
  readonly signal: AbortSignal;
  readonly print: Output;
}

interface Options {
  readonly as: ResourceOptions['as'];
  /** Apply migrations even where MIGRATE_ON_BOOT is off. */
  readonly migrate?: boolean;
  /** The work ends by itself when the signal fires, and Ctrl-C is how it is meant to end. */
  readonly endsOnInterrupt?: boolean;
}

/** Opens what a command needs, runs its work, and closes everything again in any case. Returns the exit code. */
export async function withResources(
  { as, migrate = false, endsOnInterrupt = false }: Options,
  work: (context: CommandContext) => Promise<number>,
): Promise<number> {
  const given = loadConfig();
  const config = migrate ? { ...given, MIGRATE_ON_BOOT: 'on' as const } : given;
  const logger = await openLogger(config.LOG_LEVEL === 'info' ? 'warn' : config.LOG_LEVEL, { to: STDERR });
  await keepPrivateBeside(config, logger);
  const lifecycle = new Lifecycle((message) => logger.warn(message));
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort(new Error('interrupted')));
  // A reader such as `head` has enough. Without a listener the process would end before it has closed anything.
  process.stdout.on('error', () => interrupted.abort(new Error('the output was closed')));
  try {
    const resources = await openResources({ config, logger, lifecycle, as });
    const { signal } = interrupted;
    const working = work({ ...resources, config, lifecycle, logger, signal, print });
    return await (endsOnInterrupt ? working : Promise.race([working, aborted(signal)]));
  } catch (error) {
    printError(error);
    return 1;
  } finally {
    await lifecycle.stop();
    // Interrupted work may still wait for an answer of the operator, or of a server.
    if (interrupted.signal.aborted && !endsOnInterrupt) process.exit(1);
  }
}

/** Rejects on Ctrl-C: every command can be interrupted, and run again. */
async function aborted(signal: AbortSignal): Promise<never> {
  await untilAborted(signal);
  throw signal.reason as Error;
}

/** A server repairs permissions at its start; a command that runs first creates the directory as a server would. */
async function keepPrivateBeside({ DATA_DIR, PGHOST }: Config, logger: ResourceOptions['logger']): Promise<void> {
  const dataDir = path.resolve(DATA_DIR);
  if (PGHOST || existsSync(dataDir)) makePrivate();
  else await keepPrivate(dataDir, { leadsToPostgres: [dataDir], report: (message) => logger.warn(message) });
}
