import path from 'node:path';
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Config } from '../config.ts';
import { EXPORTER, startExporter } from '../consumers/exporter.ts';
import type { Group, GroupOptions } from '../consumers/group.ts';
import { createOccurrences, startScheduler } from '../consumers/scheduler.ts';
import { createAttempts, startWorker, WORKER } from '../consumers/worker.ts';
import { AppError } from '../errors.ts';
import { newId } from '../events/ids.ts';
import { rateOf } from '../http/rate-limits.ts';
import type { Database } from '../postgres/pool.ts';
import { type Breakers, createBreakers } from '../jobs/breakers.ts';
import { JobFailure, type JobType, type JobServices } from '../jobs/job-type.ts';
import { createMailTurns, type MailRate } from '../jobs/mail-turns.ts';
import { createRefusals } from '../jobs/refusals.ts';
import type { StoredFiles } from '../jobs/stored-files.ts';
import { jobTypes } from '../jobs/job-types.ts';
import { createRights } from '../jobs/owner-rights.ts';
import { laneOf, type QueueScope } from '../jobs/queue.ts';
import { cleanUpHourly } from '../jobs/clean-up.ts';
import { guardedFiles } from '../jobs/guarded-files.ts';
import { readAdoption } from '../log/ownership.ts';
import { domainOf } from '../providers/mail/address.ts';
import { type MailRegistry, openMail } from '../providers/mail/providers.ts';
import { consumerProbe } from '../probes.ts';
import { jobTimeOf } from '../projections/jobs.ts';
import { throttled } from '../concurrency/throttle.ts';

import { type Context, pausesOf, quotaOf, storedFilesOf } from './context.ts';
import type { Services } from './parts.ts';

const ROLES = ['exporter', 'worker', 'scheduler'] as const;
type WorkingRole = (typeof ROLES)[number];

/** Those who work on jobs: exporters, workers and schedulers, as the configuration says. */
export async function addWorkers(context: Context, { reads, commands, files }: Services): Promise<void> {
  const { config, lifecycle, logger, resources, registry } = context;
  const roles = ROLES.filter((role) => config.ROLES.includes(role));
  if (roles.length === 0) return;
  const { log, placement, connection, admin } = resources;
  const { durable } = await log.durability(placement.topics);
  const tables = admin;
  const mail = lifecycle.add('mail', await openMail(config));
  const report = throttled((message) => logger.warn(message));
  const breakers = createBreakers({
    tables,
    openMs: config.BREAKER_OPEN_SECONDS * 1_000,
    report,
    opening: { window: config.BREAKER_WINDOW, minCalls: config.BREAKER_MIN_CALLS, share: config.BREAKER_SHARE },
  });
  lifecycle.add('breakers', breakers);
  const worker = `${hostname()}-${process.pid}-${newId().slice(-8)}`;
  const tools = await toolsOf(context, { reads, commands, files, mail, breakers });
  const attempts = createAttempts({
    worker,
    commands,
    log,
    placement,
    logger,
    registry,
    tables,
    services: tools,
    pauses: pausesOf(config),
    faults: context.faults,
    attemptMs: config.JOB_ATTEMPT_SECONDS * 1_000,
  });
  const occurrences = createOccurrences({
    commands,
    logger,
    mustHaveRoom: quotaOf(config, reads),
    now: Date.now,
    rightsOf: createRights(tables),
    timeOf: (jobId) => jobTimeOf(reads, jobId),
  });
  const common = {
    worker,
    connection,
    log,
    placement,
    logger,
    onCrash: context.crash,
    ready: () => reads.ready(),
    consumers: context.consumers,
    ownership: context.ownership,
    takeOverFrom: await takeOverFrom(context),
    synchronousCommit: !durable,
    distributed: config.KAFKA_BROKERS !== undefined,
    concurrency: config.WORKER_CONCURRENCY,
    leaseMs: config.JOB_LEASE_SECONDS * 1_000,
  };
  const groups: Record<WorkingRole, () => Promise<Group>> = {
    exporter: () => startExporter({ ...common, lanes: lanesOf(EXPORTER, config, breakers) }, attempts),
    worker: () => startWorker({ ...common, lanes: lanesOf(WORKER, config, breakers) }, attempts),
    scheduler: () => startScheduler({ ...common, lanes: scheduledLanes(config) }, occurrences),
  };
  if (roles.includes('scheduler')) {
    lifecycle.add('clean-up', cleanUpHourly({ database: reads, keepMs: KEEP_MS, report }));
  }
  for (const role of roles) {
    const group = lifecycle.add(role, await groups[role]());
    context.probes[role] = consumerProbe(group.health, 'queued', () => `, ${group.running()} jobs run`);
  }
}

/** Attempts that ran at an earlier owner of the log may go on for as long as an attempt may take. */
async function takeOverFrom({ config, resources: { admin } }: Context): Promise<Date | undefined> {
  const adopted = await readAdoption(admin);
  return adopted && new Date(adopted.getTime() + config.JOB_ATTEMPT_SECONDS * 1_000);
}

/** What is personal in a job goes so long after its end. */
const KEEP_MS = 30 * 86_400_000;

interface ToolParts extends Services {
  readonly mail: MailRegistry;
  readonly breakers: Breakers;
}

async function toolsOf(
  { config, faults, resources }: Context,
  { reads, commands, files, mail, breakers }: ToolParts,
): Promise<JobServices> {
  const scratch = path.resolve(config.DATA_DIR, 'scratch', config.NAMESPACE);
  await mkdir(scratch, { recursive: true });
  const { admin: tables } = resources;
  return {
    claim: claimOf(storedFilesOf(config, tables)),
    mailTurn: mailTurnOf(rateOf(config.RATE_MAILS), tables),
    noteRefusal: createRefusals(tables, config.MAIL_RETRY_HOURS * 3_600_000),
    failedDomainOf: (provider) => breakers.failedDomainOf(mailBreaker(provider)),
    database: reads,
    commands,
    scratch,
    dummySeconds: config.DUMMY_SECONDS,
    attemptMs: config.JOB_ATTEMPT_SECONDS * 1_000,
    files: guardedFiles(files, breakers, filesBreaker(config)),
    async send(provider, letter, signal) {
      faults['before-mail']?.();
      const act = (either: AbortSignal) => mail.send(provider, letter, either);
      const answer = await breakers.call(mailBreaker(provider), signal, act, domainOf(letter.to));
      faults['after-mail']?.();
      return answer;
    },
  };
}

/** Another attempt would have no more room. */
const claimOf =
  ({ claim }: Pick<StoredFiles, 'claim'>): JobServices['claim'] =>
  (file) =>
    claim(file).catch((error: unknown) => {
      const isRefusal = error instanceof AppError && error.kind === 'too-many';
      throw isRefusal ? new JobFailure('permanent', error.code, error.message, { cause: error }) : error;
    });

function mailTurnOf(rate: MailRate | undefined, tables: Database): JobServices['mailTurn'] {
  if (!rate) return () => Promise.resolve();
  const take = createMailTurns(tables, rate);
  return async (mail) => {
    const pauseMs = await take(mail);
    if (pauseMs === 0) return;
    const message = `an address gets ${rate.count} mails in ${rate.seconds} s at most`;
    throw new JobFailure('deferred', 'MAILBOX_FULL', message, { pauseMs });
  };
}

const mailBreaker = (provider: string) => `mail:${provider}`;
const filesBreaker = ({ FILES_PROVIDER }: Config) => `files:${FILES_PROVIDER}`;

/** What a group's jobs wait in, and whether what they need is well. */
function lanesOf(scope: QueueScope, config: Config, breakers: Breakers): GroupOptions['lanes'] {
  const lanes = jobTypes
    .filter(({ name }) => scope.holds({ jobType: name, repeat: null }))
    .flatMap((type) => lanesOfType(type, config));
  return () =>
    lanes.map(({ name, needs }) => ({
      name,
      state: worst(needs.map((need) => breakers.stateOf(need))),
      failedDomain: needs.map((need) => breakers.failedDomainOf(need)).find((domain) => domain !== undefined),
    }));
}

function lanesOfType({ name, usesFiles }: JobType, config: Config): { name: string; needs: string[] }[] {
  const files = usesFiles ? [filesBreaker(config)] : [];
  const byProvider = config.mail.enabled.map((provider) => ({
    name: laneOf(name, provider),
    needs: [...files, mailBreaker(provider)],
  }));
  return [{ name: laneOf(name, null), needs: files }, ...byProvider];
}

/** Repeating jobs wait in the lanes of their types; asking for their occurrences needs nobody. */
const scheduledLanes = (config: Config): GroupOptions['lanes'] => {
  const lanes = jobTypes.flatMap((type) =>
    lanesOfType(type, config).map(({ name }) => ({ name, state: 'closed' as const })),
  );
  return () => lanes;
};

const worst = (states: readonly ReturnType<Breakers['stateOf']>[]) =>
  states.find((state) => state === 'open') ?? states.find((state) => state === 'half-open') ?? 'closed';
