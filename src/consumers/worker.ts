import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Commands } from '../commands/commands.ts';
import { reasonOf } from '../errors.ts';
import type { Placement } from '../events/placement.ts';
import type { Faults } from '../faults.ts';
import { attemptEvents, chain } from '../jobs/attempts/attempt.ts';
import { deadLettered, logged, recorded, retried, timed } from '../jobs/attempts/middlewares.ts';
import { type WorkOptions, working } from '../jobs/attempts/work.ts';
import type { Pauses } from '../jobs/backoff.ts';
import type { HandleJob } from '../jobs/in-flight.ts';
import { jobTypeOf } from '../jobs/job-types.ts';
import type { QueueScope } from '../jobs/queue.ts';
import type { EventLog } from '../log/event-log.ts';
import { EXPORTER } from './exporter.ts';
import { type Group, type MemberOptions, startGroup } from './group.ts';
import { SCHEDULER } from './scheduler.ts';

/** The worker takes every job but exports and repeating ones. */
export const WORKER: QueueScope = {
  group: 'worker',
  holds: (request) => !EXPORTER.holds(request) && !SCHEDULER.holds(request),
};

export interface AttemptsOptions extends WorkOptions {
  /** Name of this process, which its attempts are recorded under. */
  readonly worker: string;
  readonly commands: Pick<Commands, 'job'>;
  readonly log: EventLog;
  readonly placement: Placement;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Pauses before attempts after an outage, and after deferred ones that name no pause. */
  readonly pauses: Pauses;
  /** An attempt that takes longer fails. */
  readonly attemptMs: number;
  readonly faults?: Faults;
}

/** Joins the group: its subscription keeps the queue of jobs; its pipeline is `createAttempts`. */
export const startWorker = (member: MemberOptions, handle: HandleJob): Promise<Group> =>
  startGroup({ ...member, scope: WORKER, handle });

/** The pipeline of workers and exporters: makes an attempt at a leased job. */
export function createAttempts(options: AttemptsOptions): HandleJob {
  const { worker, commands, log, placement, logger, registry, pauses, attemptMs, faults } = options;
  const pipeline = [
    logged(logger, registry),
    recorded(worker, faults),
    deadLettered(log, placement),
    retried(pauses, options.services.noteRefusal),
    timed(attemptMs),
  ];
  const handle = chain(pipeline, working(options));
  return async (job, signal) => {
    const events = attemptEvents(commands, job, signal);
    const type = jobTypeOf(job.jobType);
    try {
      if (type) await handle({ job, type, number: job.attempt + 1, signal, events });
      else logger.error({ job: job.jobId }, `the job type ${job.jobType} is unknown to this version`);
    } catch (error) {
      logger.error({ job: job.jobId, err: error }, `an attempt broke off: ${reasonOf(error)}`);
    }
    // When nothing was recorded, the next version makes the job wait until the queue has caught up.
    return Math.max(events.version, job.version + 1);
  };
}
