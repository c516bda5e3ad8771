import { hostname } from 'node:os';
import { throttled } from '../concurrency/throttle.ts';
import { EXPORTER } from '../consumers/exporter.ts';
import { type Group, type GroupOptions, startGroup } from '../consumers/group.ts';
import { createOccurrences, SCHEDULER } from '../consumers/scheduler.ts';
import { createAttempts, WORKER } from '../consumers/worker.ts';
import { newId } from '../events/ids.ts';
import { type Breakers, createBreakers } from '../jobs/breakers.ts';
import { cleanUpHourly } from '../jobs/clean-up.ts';
import { createRights } from '../jobs/owner-rights.ts';
import { readAdoption } from '../log/ownership.ts';
import { consumerProbe } from '../probes.ts';
import { jobTimeOf } from '../projections/jobs.ts';
import { openMail } from '../providers/mail/providers.ts';
import { type Context, type Part, pausesOf, quotaOf } from './context.ts';
import { createJobServices } from './job-services.ts';
import { lanesOf, scheduledLanes } from './lanes.ts';
import type { Services } from './services.ts';

/** The roles that work on jobs. Each is a consumer group of its own. */
const WORKING_ROLES = ['exporter', 'worker', 'scheduler'] as const;
type WorkingRole = (typeof WORKING_ROLES)[number];

/** Starts the exporter, the worker and the scheduler, as far as the configuration names them. */
export async function startWorkers(context: Context, services: Services): Promise<Part<readonly Group[]>> {
  const { config, lifecycle, logger } = context;
  const roles = WORKING_ROLES.filter((role) => config.ROLES.includes(role));
  const worker = `${hostname()}-${process.pid}-${newId().slice(-8)}`;
  const pipelines = await openPipelines(context, services, worker);
  const common = await groupOptionsOf(context, services, worker);
  if (roles.includes('scheduler')) {
    const report = throttled((message) => logger.warn(message));
    lifecycle.add('clean-up', cleanUpHourly({ database: services.reads, keepMs: KEEP_MS, report }));
  }
  const groups: [WorkingRole, Group][] = [];
  for (const role of roles) {
    groups.push([role, lifecycle.add(role, await startGroup({ ...common, ...pipelines[role] }))]);
  }
  return {
    service: groups.map(([, group]) => group),
    probes: Object.fromEntries(
      groups.map(([role, { health, running }]) => [
        role,
        consumerProbe(health, 'queued', () => `, ${running()} jobs run`),
      ]),
    ),
  };
}

/** Personal data of a job is deleted so long after the job's end. */
const KEEP_MS = 30 * 86_400_000;

/** Which jobs each group takes, and what it does with one. */
async function openPipelines(
  context: Context,
  services: Services,
  worker: string,
): Promise<Record<WorkingRole, Pick<GroupOptions, 'scope' | 'handle' | 'lanes'>>> {
  const { config, lifecycle } = context;
  const mail = lifecycle.add('mail', await openMail(config));
  const breakers = lifecycle.add('breakers', openBreakers(context));
  const tools = await createJobServices(context, { ...services, mail, breakers });
  const attempts = attemptsOf(context, services, { worker, tools });
  const occurrences = occurrencesOf(context, services);
  return {
    exporter: { scope: EXPORTER, handle: attempts, lanes: lanesOf(EXPORTER, config, breakers) },
    worker: { scope: WORKER, handle: attempts, lanes: lanesOf(WORKER, config, breakers) },
    scheduler: { scope: SCHEDULER, handle: occurrences, lanes: scheduledLanes(config) },
  };
}

const openBreakers = ({ config, logger, resources: { admin } }: Context): Breakers =>
  createBreakers({
    tables: admin,
    openMs: config.BREAKER_OPEN_SECONDS * 1_000,
    report: throttled((message) => logger.warn(message)),
    opening: { window: config.BREAKER_WINDOW, minCalls: config.BREAKER_MIN_CALLS, share: config.BREAKER_SHARE },
  });

type AttemptsOptions = Parameters<typeof createAttempts>[0];

const attemptsOf = (
  { config, logger, registry, faults, resources: { log, placement, admin } }: Context,
  { commands }: Services,
  { worker, tools }: Pick<AttemptsOptions, 'worker' | 'tools'>,
) =>
  createAttempts({
    worker,
    commands,
    log,
    placement,
    logger,
    registry,
    tables: admin,
    tools,
    pauses: pausesOf(config),
    faults,
    attemptMs: config.JOB_ATTEMPT_SECONDS * 1_000,
  });

const occurrencesOf = ({ config, logger, resources: { admin } }: Context, { commands, reads }: Services) =>
  createOccurrences({
    commands,
    logger,
    mustHaveRoom: quotaOf(config, reads),
    now: Date.now,
    rightsOf: createRights(admin),
    timeOf: (jobId) => jobTimeOf(reads, jobId),
  });

/** What all groups of this process have in common. */
async function groupOptionsOf(context: Context, { reads }: Services, worker: string) {
  const { config, resources, logger, consumers, ownership, crash } = context;
  const { log, placement, connection } = resources;
  const { durable } = await log.durability(placement.topics);
  return {
    worker,
    connection,
    log,
    placement,
    logger,
    onCrash: crash,
    ready: () => reads.ready(),
    consumers,
    ownership,
    takeOverFrom: await takeOverFrom(context),
    synchronousCommit: !durable,
    distributed: config.KAFKA_BROKERS !== undefined,
    concurrency: config.WORKER_CONCURRENCY,
    leaseMs: config.JOB_LEASE_SECONDS * 1_000,
  };
}

/** Attempts that ran at an earlier owner of the log may go on for as long as an attempt may take. */
async function takeOverFrom({ config, resources: { admin } }: Context): Promise<Date | undefined> {
  const adopted = await readAdoption(admin);
  return adopted && new Date(adopted.getTime() + config.JOB_ATTEMPT_SECONDS * 1_000);
}
