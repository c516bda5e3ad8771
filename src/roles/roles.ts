import { collectDefaultMetrics } from 'prom-client';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { noticesOf, type CommitNotice } from '../events/commit-notice.ts';
import { createHealth, type Health } from '../http/health.ts';
import { buildHealthApp } from '../http/health-app.ts';
import { startHttp } from '../http/server.ts';
import type { LogOwner } from '../events/genesis.ts';
import { refusalByMembers, registerClient } from '../log/clients.ts';
import { followLog } from '../log/follow.ts';
import { readIdentity } from '../log/identity.ts';
import { initLog } from '../log/init.ts';
import { type Ownership, readOwnership } from '../log/ownership.ts';
import { checkLog, LogRefused } from '../log/topics.ts';
import { createNotifier } from '../postgres/listen.ts';
import { namespacesWithData } from '../postgres/namespaces.ts';
import { consumerProbe, consumersProbe, databaseProbe, lifeOf, logProbe } from '../probes.ts';
import { Consumers } from '../projections/engine/consumers.ts';
import { refuseUnfinished } from '../recovery/note.ts';
import { openResources, type Resources } from '../resources.ts';
import { throttled } from '../concurrency/throttle.ts';
import { addCache } from './cache.ts';
import { channelOf, type Commits, type Context, type RolesOptions } from './context.ts';
import { addLogWatch } from './log-watch.ts';
import { noteLossOf } from './note-loss.ts';
import { addProjector } from './projector.ts';

/** Those that do jobs. */
const WORKING = ['exporter', 'worker', 'scheduler'] as const;
/** Those that read and command. */
const ACTIVE = ['api', ...WORKING] as const;

/**
 * Starts what the configuration names, in order. Everything started is stopped by the lifecycle, in reverse. API and workers
 * are loaded only where they run: their routes and job types are half of all modules.
 */
export async function startRoles(options: RolesOptions): Promise<void> {
  const { config, logger, lifecycle, registry } = options;
  const has = (role: Config['ROLES'][number]) => config.ROLES.includes(role);
  collectDefaultMetrics({ register: registry });
  const resources = await openResources({ config, logger, lifecycle, as: 'server' });
  const ownership = await openLogOf(resources, options);
  await warnOfOtherNamespaces(resources, config, logger);
  const probes = { database: databaseProbe(resources), log: logProbe(resources) };
  const consumers = new Consumers(registry, config.LAG_ALARM_SECONDS * 1_000);
  const role = { ...options, resources, ownership, probes, consumers };
  const context: Context = { ...role, cache: addCache(role), commits: createCommits(resources, config) };
  if (config.KAFKA_BROKERS) addLogWatch(context);
  const feeds = has('projector') ? await addProjector(context) : undefined;
  if (feeds) context.probes.projector = consumerProbe(feeds.health, 'applied');
  const parts = ACTIVE.some(has) ? await (await import('./parts.ts')).addServices(context) : undefined;
  if (parts && WORKING.some(has)) await (await import('./workers.ts')).addWorkers(context, parts);
  const hasApi = has('api');
  if (hasApi) (await import('./queue-lags.ts')).addQueueLags(context);
  if (config.ROLES.some((each) => each !== 'api')) context.probes.consumers = consumersProbe(consumers, hasApi);
  const alive = () => lifeOf(consumers, { hasApi });
  // It looks at the probes that are there by now.
  const health = createHealth({ probes: context.probes, alive, logger });
  if (parts && hasApi) await (await import('./api.ts')).addApi(context, health, parts);
  else if (config.HEALTH_PORT !== undefined) await addHealth(context, health, config.HEALTH_PORT);
}

/** An embedded log is made at the first start; any other is made by `openmusic log init` and only checked here. */
async function openLogOf(resources: Resources, options: RolesOptions): Promise<Ownership | undefined> {
  const { log, placement, admin, me } = resources;
  await refuseUnfinished(admin);
  const ownership = me ? await checkBrokers({ ...resources, me }, options) : undefined;
  if (!me) await initLog({ log, placement, database: admin });
  const { durable, why } = await log.durability(placement.topics);
  options.logger[durable ? 'info' : 'warn'](`log: ${why}`);
  return ownership;
}

/** A broker's log has one owner; others can only follow it. Two processes of different databases are never in one group. */
async function checkBrokers(
  resources: Resources & { readonly me: LogOwner },
  { config, logger, lifecycle, crash }: RolesOptions,
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

function createCommits({ admin }: Resources, config: Config): Commits {
  const notify = config.KAFKA_BROKERS ? createNotifier(admin, channelOf(config)) : undefined;
  const listeners = new Set<(notice: CommitNotice) => void>();
  const onCommit = (notice: CommitNotice) => {
    for (const listener of listeners) listener(notice);
  };
  return {
    onCommit,
    announce(notice) {
      onCommit(notice);
      notify?.(noticesOf(notice));
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

async function addHealth(
  { config, lifecycle, logger, registry }: Context,
  health: Health,
  port: number,
): Promise<void> {
  const server = await startHttp(buildHealthApp({ health, logger, metricsRegistry: registry }), {
    host: config.HOST,
    port,
  });
  lifecycle.add('health', server);
  logger.info(`probes on ${server.url}`);
}
