import type { Logger } from 'pino';
import { originWithoutBody } from '../commands/command.ts';
import type { Commands } from '../commands/commands.ts';
import { AppError, reasonOf } from '../errors.ts';
import { commandIdOf, idFromCommand } from '../events/ids.ts';
import type { HandleJob, Postponed } from '../jobs/in-flight.ts';
import type { QueuedJob } from '../jobs/leases.ts';
import { lostRight, occurrenceCommandOf, occurrenceRequest, repeatOf } from '../jobs/occurrences.ts';
import type { RightsOf } from '../jobs/owner-rights.ts';
import type { QueueScope } from '../jobs/queue.ts';
import type { MustHaveRoom } from '../jobs/quota.ts';
import { type Due, dueOf } from '../jobs/repeats.ts';
import { type Group, type MemberOptions, startGroup } from './group.ts';

/** The scheduler takes repeating jobs, and requests a job of its own for each time that is due. */
export const SCHEDULER: QueueScope = { group: 'scheduler', holds: ({ repeat }) => repeat !== null };

export interface OccurrencesOptions {
  readonly commands: Pick<Commands, 'job'>;
  readonly logger: Logger;
  /** An occurrence counts as any job of its account, and waits while the account has no room for it. */
  readonly mustHaveRoom: MustHaveRoom;
  readonly rightsOf: RightsOf;
  /** The time for which a job was requested; undefined when there is no job of that id. */
  readonly timeOf: (jobId: string) => Promise<Date | undefined>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Joins the group: its subscription keeps the queue of repeating jobs; its pipeline is `createOccurrences`. */
export const startScheduler = (member: MemberOptions, handle: HandleJob): Promise<Group> =>
  startGroup({ ...member, scope: SCHEDULER, handle });

/**
 * Requests the job for the due time, and then records that in the stream of the repeating job. When the process dies in between, the next
 * one repeats the request. The job's id derives from the schedule and from the first time that the job covers, even if more times have
 * been missed since, so the log has one request.
 */
export function createOccurrences(options: OccurrencesOptions): (parent: QueuedJob) => Promise<number | Postponed> {
  const { logger, rightsOf, now } = options;

  async function occur(parent: QueuedJob): Promise<number> {
    const lost = lostRight(parent, await rightsOf(parent.ownerId));
    if (lost !== undefined) return end(options, parent, lost);
    return record(options, parent, await occurrenceNow(options, parent));
  }

  return async (parent) => {
    try {
      return await occur(parent);
    } catch (error) {
      if (!(error instanceof AppError))
        logger.error({ job: parent.jobId, err: error }, `an occurrence is late: ${reasonOf(error)}`);
      if (error instanceof AppError && !isPassing(error)) return parent.version + 1;
      return { pauseMs: pauseOf(now() - parent.runAt.getTime()) };
    }
  };
}

/** Cancels a repeating job whose owner has lost the right to it. */
async function end({ commands, logger }: OccurrencesOptions, parent: QueuedJob, why: string): Promise<number> {
  const { jobId, version } = parent;
  const origin = { ...originOf(parent, commandIdOf('ended', jobId)), actor: 'system' };
  const command = { type: 'CancelJob', actor: 'system', isAdmin: true } as const;
  const ended = await commands.job({ stream: jobId, command, origin, expectedVersion: [version], seen: version });
  logger.warn({ job: jobId }, `a repeating job was cancelled: ${why}`);
  return ended.version;
}

interface Occurrence {
  readonly due: Due;
  /** Null when all due times are skipped, so that there is no job. */
  readonly jobId: string | null;
}

/**
 * Requests the job that is due now. If an earlier process has requested it and died before recording it, the job covers only the times
 * up to the one that it was requested for; later times get another job.
 */
async function occurrenceNow(options: OccurrencesOptions, parent: QueuedJob): Promise<Occurrence> {
  const { timeOf, now } = options;
  const due = dueOf(repeatOf(parent), new Date(now()));
  const jobId = idFromCommand('job', occurrenceCommandOf(parent));
  if (due.occurs && !(await request(options, parent, jobId, due.at))) return { due, jobId };
  const requestedFor = await timeOf(jobId);
  return requestedFor
    ? { due: dueOf(repeatOf(parent), requestedFor), jobId }
    : { due, jobId: due.occurs ? jobId : null };
}

/** Returns whether the job had been requested before. */
async function request(
  { commands, mustHaveRoom }: OccurrencesOptions,
  parent: QueuedJob,
  stream: string,
  at: Date,
): Promise<boolean> {
  const { replayed } = await commands.job({
    stream,
    origin: originOf(parent, occurrenceCommandOf(parent)),
    async command() {
      await mustHaveRoom(parent.ownerId, { jobId: stream, version: 0 });
      return { type: 'RequestJob', request: occurrenceRequest(parent, at.toISOString()) };
    },
  });
  return replayed;
}

/** Records the occurrence in the stream of the repeating job. Resolves to the version after it. */
async function record(
  { commands }: OccurrencesOptions,
  parent: QueuedJob,
  { due, jobId: occurrenceId }: Occurrence,
): Promise<number> {
  const [from, at, next] = [parent.runAt.toISOString(), due.at.toISOString(), due.next?.toISOString() ?? null];
  const recorded = await commands.job({
    stream: parent.jobId,
    command: { type: 'Occur', due: from, at, occurrenceId, passedOver: due.passedOver, next },
    // The version is part of the id: after a change of the repeat the same time can be due again, and that is a new command.
    origin: originOf(parent, commandIdOf('occurred', parent.jobId, from, String(parent.version))),
    expectedVersion: [parent.version],
    seen: parent.version,
  });
  return recorded.version;
}

const originOf = ({ jobId, ownerId }: QueuedJob, commandId: string) =>
  originWithoutBody({ commandId, repeatable: true, actor: ownerId, correlationId: jobId });

const isPassing = ({ kind }: AppError) => kind === 'unavailable' || kind === 'too-many';

/** The shortest and the longest pause before a late occurrence is tried again, in milliseconds. */
const [MIN_PAUSE_MS, MAX_PAUSE_MS] = [1_000, 60_000];

/** Half of the delay so far, so pauses grow; with jitter, so that occurrences which wait for the same thing do not return together. */
const pauseOf = (lateMs: number) =>
  Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, lateMs / 2)) * (0.75 + Math.random() / 2);
