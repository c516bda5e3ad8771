import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Commands } from '../commands/commands.ts';
import type { Faults } from '../faults.ts';
import type { Placement } from '../events/placement.ts';
import type { EventLog } from '../log/event-log.ts';
import type { Pauses } from '../jobs/backoff.ts';
import { jobTypeOf } from '../jobs/job-types.ts';
import type { QueuedJob } from '../jobs/leases.ts';
import type { QueueScope } from '../jobs/queue.ts';
import { reasonOf } from '../errors.ts';
import { attemptEvents, chain } from '../jobs/attempts/attempt.ts';
import { EXPORTER } from './exporter.ts';
import { deadLettered, logged, recorded, retried, timed } from '../jobs/attempts/middlewares.ts';
import { SCHEDULER } from './scheduler.ts';
import { type WorkOptions, working } from '../jobs/attempts/work.ts';

/** Every job but exports and those that only repeat. */
export const WORKER: QueueScope = {
  group: 'worker',
  holds: (request) => !EXPORTER.holds(request) && !SCHEDULER.holds(request),
};

export interface AttemptsOptions extends WorkOptions {
  readonly worker: string;
  readonly commands: Pick<Commands, 'job'>;
  readonly log: EventLog;
  readonly placement: Placement;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Their first one is waited for by what was not the time and does not say when it is. */
  readonly pauses: Pauses;
  /** An attempt that takes longer fails. */
  readonly attemptMs: number;
  readonly faults?: Faults;
}

/** Makes attempts at leased jobs, as exporters and workers do. */
export function createAttempts(options: AttemptsOptions): (job: QueuedJob, signal: AbortSignal) => Promise<number> {
  const { worker, commands, log, placement, logger, registry, pauses, attemptMs, faults } = options;
  const around = [
    logged(logger, registry),
    recorded(worker, faults),
    deadLettered(log, placement),
    retried(pauses, options.tools.noteRefusal),
    timed(attemptMs),
  ];
  const handle = chain(around, working(options));
  return async (job, signal) => {
    const events = attemptEvents(commands, job, signal);
    const type = jobTypeOf(job.jobType);
    try {
      if (type) await handle({ job, type, number: job.attempt + 1, signal, events });
      else logger.error({ job: job.jobId }, `nobody here knows how to do ${job.jobType}`);
    } catch (error) {
      logger.error({ job: job.jobId, err: error }, `an attempt broke off: ${reasonOf(error)}`);
    }
    // Where nothing was recorded the queue is behind: the job comes back once it has caught up.
    return Math.max(events.version, job.version + 1);
  };
}
