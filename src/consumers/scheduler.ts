import type { Logger } from 'pino';
import { originWithoutBody } from '../commands/command.ts';
import type { Commands } from '../commands/commands.ts';
import { AppError, reasonOf } from '../errors.ts';
import { commandIdOf, thingIdOf } from '../events/ids.ts';
import type { JobRequest } from '../events/jobs.ts';
import { jobTypeOf } from '../jobs/job-types.ts';
import type { QueuedJob } from '../jobs/leases.ts';
import { refusalOf, type Rights, type RightsOf } from '../jobs/owner-rights.ts';
import type { QueueScope } from '../jobs/queue.ts';
import type { MustHaveRoom } from '../jobs/quota.ts';
import { type Due, dueOf } from '../jobs/repeats.ts';

/** Turns due occurrences of repeating jobs into jobs of their own. */
export const SCHEDULER: QueueScope = { group: 'scheduler', holds: ({ repeat }) => repeat !== null };

export interface OccurrencesOptions {
  readonly commands: Pick<Commands, 'job'>;
  readonly logger: Logger;
  /** An occurrence counts as any job of its account: while there is no room for it, it waits. */
  readonly mustHaveRoom: MustHaveRoom;
  readonly rightsOf: RightsOf;
  /** Whether there is a job of that id. */
  readonly exists: (jobId: string) => Promise<boolean>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * Asks for the job of the time that is due, and then says so in the stream of the repeating one. A process that dies in between
 * leaves the same to be done: the job's id is made of schedule and time, so it is asked for once.
 */
export function createOccurrences({
  commands,
  logger,
  mustHaveRoom,
  rightsOf,
  exists,
  now,
}: OccurrencesOptions): (job: QueuedJob) => Promise<number> {
  async function occur(parent: QueuedJob): Promise<number> {
    const lost = lostRight(parent, await rightsOf(parent.ownerId));
    if (lost !== undefined) return end(parent, lost);
    const due = await dueNow(parent);
    const at = due.at.toISOString();
    const occurrenceId = due.occurs ? await request(parent, at) : null;
    const { passedOver, next } = due;
    const from = parent.runAt.toISOString();
    const said = await commands.job({
      stream: parent.jobId,
      command: { type: 'Occur', due: from, at, occurrenceId, passedOver, next: next?.toISOString() ?? null },
      origin: originOf(parent, commandIdOf('occurred', parent.jobId, from)),
      expectedVersion: [parent.version],
      seen: parent.version,
    });
    return said.version;
  }

  async function end(parent: QueuedJob, why: string): Promise<number> {
    const { jobId, version } = parent;
    const origin = { ...originOf(parent, commandIdOf('ended', jobId)), actor: 'system' };
    const command = { type: 'CancelJob', actor: 'system', isAdmin: true } as const;
    const ended = await commands.job({ stream: jobId, command, origin, expectedVersion: [version], seen: version });
    logger.warn({ job: jobId }, `a job repeats no more: ${why}`);
    return ended.version;
  }

  /** A time whose job was asked for, by a process that died before it said so, is not passed over. */
  async function dueNow(parent: QueuedJob): Promise<Due> {
    const due = dueOf(repeatOf(parent), new Date(now()));
    const isFirst = due.at.getTime() === parent.runAt.getTime();
    if ((isFirst && due.occurs) || !(await exists(occurrenceIdOf(parent, parent.runAt.toISOString())))) return due;
    return dueOf(repeatOf(parent), parent.runAt);
  }

  async function request(parent: QueuedJob, at: string): Promise<string> {
    const stream = occurrenceIdOf(parent, at);
    await commands.job({
      stream,
      command: { type: 'RequestJob' },
      origin: originOf(parent, occurrenceCommandOf(parent, at)),
      async context() {
        await mustHaveRoom(parent.ownerId);
        return { request: occurrenceOf(parent, at) };
      },
    });
    return stream;
  }

  return async (parent) => {
    try {
      return await occur(parent);
    } catch (error) {
      if (!(error instanceof AppError))
        logger.error({ job: parent.jobId, err: error }, `an occurrence is late: ${reasonOf(error)}`);
      return parent.version + (error instanceof AppError && !isPassing(error) ? 1 : 0);
    }
  };
}

/** What the owner could not ask for today; undefined when there is nothing. */
function lostRight({ jobType, repeatCount }: QueuedJob, rights: Rights): string | undefined {
  const isEndless = repeatCount === null && !rights.isAdmin;
  return (
    refusalOf(jobTypeOf(jobType), rights)?.message ??
    (isEndless ? 'Only admins have jobs repeat without end.' : undefined)
  );
}

const isPassing = ({ kind }: AppError) => kind === 'unavailable' || kind === 'too-many';

const repeatOf = (parent: QueuedJob) => ({
  ...{ at: parent.runAt, cron: parent.repeatCron ?? '', timeZone: parent.repeatZone ?? '' },
  ...{ missed: parent.repeatMissed ?? '', until: parent.repeatUntil?.toISOString() ?? null },
  ...{ count: parent.repeatCount, occurred: parent.occurred },
});

const occurrenceCommandOf = ({ jobId }: QueuedJob, at: string) => commandIdOf('occurrence', jobId, at);
const occurrenceIdOf = (parent: QueuedJob, at: string) => thingIdOf('job', occurrenceCommandOf(parent, at));

const originOf = ({ jobId, ownerId }: QueuedJob, commandId: string) =>
  originWithoutBody({ commandId, repeatable: true, actor: ownerId, correlationId: jobId });

function occurrenceOf(parent: QueuedJob, at: string): JobRequest {
  const { jobType, ownerId, parameters, payloadId, provider, total, allowed: attempts, jobId: parentId } = parent;
  const { backoff, priority } = parent;
  return {
    ...{ jobType, ownerId, parameters, payloadId, provider, total, attempts, backoff, priority },
    ...{ runAt: at, repeat: null, parentId, replaces: null },
  };
}
