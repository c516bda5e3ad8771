import type { Logger } from 'pino';
import { throttled } from '../concurrency/throttle.ts';
import type { Config } from '../config.ts';
import type { LogOwner } from '../events/genesis.ts';
import { refusalByMembers, registerClient } from '../log/clients.ts';
import { followLog } from '../log/follow.ts';
import { readIdentity } from '../log/identity.ts';
import { initLog } from '../log/init.ts';
import { type Ownership, readOwnership } from '../log/ownership.ts';
import { checkLog, LogRefused } from '../log/topics.ts';
import { namespacesWithData } from '../postgres/namespaces.ts';
import { refuseUnfinished } from '../recovery/note.ts';
import type { Resources } from '../resources.ts';
import type { ProcessOptions } from './context.ts';
import { noteLossOf } from './note-loss.ts';

/**
 * Makes an embedded log at the first start; any other log is made by `openmusic log init` and only checked here. Throws
 * LogRefused where this process may not work on the log.
 */
export async function prepareLog(resources: Resources, options: ProcessOptions): Promise<Ownership | undefined> {
  const { config, logger } = options;
  const { log, placement, admin, me } = resources;
  await refuseUnfinished(admin);
  const ownership = me ? await checkBrokers({ ...resources, me }, options) : undefined;
  if (!me) await initLog({ log, placement, database: admin });
  const { durable, why } = await log.durability(placement.topics);
  logger[durable ? 'info' : 'warn'](`log: ${why}`);
  await warnOfOtherNamespaces(resources, config, logger);
  return ownership;
}

/** A broker's log has one owner; others can only follow it. Two processes of different databases are never in one group. */
async function checkBrokers(
  resources: Resources & { readonly me: LogOwner },
  { config, logger, lifecycle, crash }: ProcessOptions,
): Promise<Ownership | undefined> {
  const { log, placement, admin, me, clientId } = resources;
  const readOnly = config.READ_ONLY === 'on';
  await noteLossOf(config, resources)?.();
  if (readOnly) await followLog({ log, placement, database: admin, me });
  else await checkLog(log, placement, await readIdentity(admin), { me, readOnly });
  const report = throttled((message) => logger.warn(message));
  lifecycle.add('registration', await registerClient({ database: admin, clientId, report }));
  const refusal = await refusalByMembers({ database: admin, log });
  if (refusal !== undefined) throw new LogRefused([refusal]);
  if (readOnly) return undefined;
  return readOwnership(admin, placement, (reason) => {
    logger.fatal({ reason }, 'the log has another owner');
    crash(new Error(reason));
  });
}

/** An installation that seems to have lost everything was often only started under another name. */
async function warnOfOtherNamespaces({ admin }: Resources, config: Config, logger: Logger): Promise<void> {
  if (config.KAFKA_BROKERS) return;
  const others = await namespacesWithData(admin, config.NAMESPACE);
  if (others.length > 0) {
    logger.warn(`NAMESPACE ${config.NAMESPACE} is empty, and there is data under NAMESPACE ${others.join(', ')}`);
  }
}
