import type { Logger } from 'pino';
import { originWithoutBody } from '../commands/command.ts';
import type { Commands } from '../commands/commands.ts';
import { AppError, reasonOf } from '../errors.ts';
import { commandIdOf, idFromCommand } from '../events/ids.ts';
import type { JobRequest } from '../events/jobs.ts';
import { jobTypeOf } from '../jobs/job-types.ts';
import type { QueuedJob } from '../jobs/leases.ts';
import { refusalOf, type Rights, type RightsOf } from '../jobs/owner-rights.ts';
import type { QueueScope } from '../jobs/queue.ts';
import type { MustHaveRoom } from '../jobs/quota.ts';
import { type Due, dueOf } from '../jobs/repeats.ts';
import type { LeftAlone } from '../jobs/in-flight.ts';

/** Turns due occurrences of repeating jobs into jobs of their own. */
export const SCHEDULER: QueueScope = { group: 'scheduler', holds: ({ repeat }) => repeat !== null };

export interface OccurrencesOptions {
  readonly commands: Pick<Commands, 'job'>;
  readonly logger: Logger;
  /** An occurrence counts as any job of its account: while there is no room for it, it waits. */
  readonly mustHaveRoom: MustHaveRoom;
  readonly rightsOf: RightsOf;
  /** The time that a job was asked for; undefined when there is no job of that id. */
  readonly timeOf: (jobId: string) => Promise<Date | undefined>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

interface Occurrence {
  readonly due: Due;
  /** Null where times are passed over, and none occurs. */
  readonly jobId: string | null;
}

/** What cannot occur is asked for again after half of the time that it is late, within these bounds, in milliseconds. */
const [SOONEST_MS, LATEST_MS] = [1_000, 60_000];

/**
 * Asks for the job of the time that is due, and then says so in the stream of the repeating one. A process that dies in between
 * leaves the same to be done: the job's id is made of the schedule and of the first time that it stands for, however many
 * times have been missed since, so it is asked for once.
 */
export function createOccurrences({
  commands,
  logger,
  mustHaveRoom,
  rightsOf,
  timeOf,
  now,
}: OccurrencesOptions): (job: QueuedJob) => Promise<number | LeftAlone> {
  async function occur(parent: QueuedJob): Promise<number> {
    const lost = lostRight(parent, await rightsOf(parent.ownerId));
    if (lost !== undefined) return end(parent, lost);
    const { due, jobId: occurrenceId } = await occurrenceNow(parent);
    const [from, at, next] = [parent.runAt.toISOString(), due.at.toISOString(), due.next?.toISOString() ?? null];
    const said = await commands.job({
      stream: parent.jobId,
      command: { type: 'Occur', due: from, at, occurrenceId, passedOver: due.passedOver, next },
      // A change of the repeat can make the same time due once more, and that is no repetition.
      origin: originOf(parent, commandIdOf('occurred', parent.jobId, from, String(parent.version))),
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

  /** What was asked for by a process that died before it said so stands as it was asked for: times since then come after it. */
  async function occurrenceNow(parent: QueuedJob): Promise<Occurrence> {
    const due = dueOf(repeatOf(parent), new Date(now()));
    const jobId = idFromCommand('job', occurrenceCommandOf(parent));
    if (due.occurs && !(await request(parent, jobId, due.at))) return { due, jobId };
    const asked = await timeOf(jobId);
    return asked ? { due: dueOf(repeatOf(parent), asked), jobId } : { due, jobId: due.occurs ? jobId : null };
  }

  /** Returns whether it had been asked for before. */
  async function request(parent: QueuedJob, stream: string, at: Date): Promise<boolean> {
    const { replayed } = await commands.job({
      stream,
      command: { type: 'RequestJob' },
      origin: originOf(parent, occurrenceCommandOf(parent)),
      async context() {
        await mustHaveRoom(parent.ownerId, { jobId: stream, version: 0 });
        return { request: occurrenceOf(parent, at.toISOString()) };
      },
    });
    return replayed;
  }

  /** Half of the time that it is late, so that the pauses grow, and those that wait for the same do not come back together. */
  const pauseOf = ({ runAt }: QueuedJob) =>
    Math.min(LATEST_MS, Math.max(SOONEST_MS, (now() - runAt.getTime()) / 2)) * (0.75 + Math.random() / 2);

  return async (parent) => {
    try {
      return await occur(parent);
    } catch (error) {
      if (!(error instanceof AppError))
        logger.error({ job: parent.jobId, err: error }, `an occurrence is late: ${reasonOf(error)}`);
      if (error instanceof AppError && !isPassing(error)) return parent.version + 1;
      return { leaveMs: pauseOf(parent) };
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
  at: parent.runAt,
  cron: parent.repeatCron ?? '',
  timeZone: parent.repeatZone ?? '',
  missed: parent.repeatMissed ?? '',
  until: parent.repeatUntil?.toISOString() ?? null,
  count: parent.repeatCount,
  occurred: parent.occurred,
});

const occurrenceCommandOf = ({ jobId, runAt }: QueuedJob) => commandIdOf('occurrence', jobId, runAt.toISOString());

const originOf = ({ jobId, ownerId }: QueuedJob, commandId: string) =>
  originWithoutBody({ commandId, repeatable: true, actor: ownerId, correlationId: jobId });

function occurrenceOf(parent: QueuedJob, at: string): JobRequest {
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
