import { commandIdOf } from '../events/ids.ts';
import type { JobRequest } from '../events/jobs.ts';
import { jobTypeOf } from './job-types.ts';
import type { QueuedJob } from './leases.ts';
import { refusalOf, type Rights } from './owner-rights.ts';
import type { DueRepeat } from './repeats.ts';

/** The command that requests the job of the time that is due. Another process derives the same one, so there is one job for each time. */
export const occurrenceCommandOf = ({ jobId, runAt }: QueuedJob): string =>
  commandIdOf('occurrence', jobId, runAt.toISOString());

/** The repeat of a queued job. */
export const repeatOf = (parent: QueuedJob): DueRepeat => ({
  at: parent.runAt,
  cron: parent.repeatCron ?? '',
  timeZone: parent.repeatZone ?? '',
  missed: parent.repeatMissed ?? '',
  until: parent.repeatUntil?.toISOString() ?? null,
  count: parent.repeatCount,
  occurred: parent.occurred,
});

/** The request of the job for one time of a repeating job. */
export function occurrenceRequest(parent: QueuedJob, at: string): JobRequest {
  const { jobType, ownerId, parameters, payloadId, provider, total, allowed: attempts, jobId: parentId } = parent;
  const { backoff, priority } = parent;
  return {
    jobType,
    ownerId,
    parameters,
    payloadId,
    provider,
    total,
    attempts,
    backoff,
    priority,
    runAt: at,
    repeat: null,
    parentId,
    replaces: null,
  };
}

/** Why the owner could not ask for the repeating job today; undefined when it could. */
export function lostRight({ jobType, repeatCount }: QueuedJob, rights: Rights): string | undefined {
  const isEndless = repeatCount === null && !rights.isAdmin;
  return (
    refusalOf(jobTypeOf(jobType), rights)?.message ??
    (isEndless ? 'Only admins have jobs repeat without end.' : undefined)
  );
}
