import type { Logger } from 'pino';
import { originWithoutBody } from '../commands/command.ts';
import type { Commands } from '../commands/commands.ts';
import { AppError, reasonOf } from '../errors.ts';
import { commandIdOf, thingIdOf } from '../events/ids.ts';
import type { JobRequest } from '../events/jobs.ts';
import { nextTime } from '../jobs/cron.ts';
import type { QueuedJob } from '../jobs/leases.ts';
import type { QueueScope } from '../jobs/queue.ts';

/** Turns due occurrences of repeating jobs into jobs of their own. */
export const SCHEDULER: QueueScope = { group: 'scheduler', holds: ({ repeat }) => repeat !== null };

export interface OccurrencesOptions {
  readonly commands: Pick<Commands, 'job'>;
  readonly logger: Logger;
}

/**
 * Asks for the job of the time that is due, and then says so in the stream of the repeating one. Whoever dies in between
 * leaves the same to be done: the job's id is made of schedule and time, so it is asked for once.
 */
export function createOccurrences({ commands, logger }: OccurrencesOptions): (job: QueuedJob) => Promise<number> {
  async function occur(parent: QueuedJob): Promise<number> {
    const at = parent.runAt.toISOString();
    const commandId = commandIdOf('occurrence', parent.jobId, at);
    const jobId = thingIdOf('job', commandId);
    const request = occurrenceOf(parent, at);
    const stream = jobId;
    const origin = originOf(parent, commandId);
    await commands.job({
      stream,
      command: { type: 'RequestJob' },
      origin,
      context: () => Promise.resolve({ request }),
    });
    const next = nextTime(parent.repeatCron ?? '', parent.repeatZone ?? '', parent.runAt);
    const said = await commands.job({
      stream: parent.jobId,
      command: { type: 'Occur', at, occurrenceId: jobId, next: next?.toISOString() ?? null },
      origin: originOf(parent, commandIdOf('occurred', parent.jobId, at)),
      expectedVersion: [parent.version],
      seen: parent.version,
    });
    return said.version;
  }

  return async (parent) => {
    try {
      return await occur(parent);
    } catch (error) {
      if (!(error instanceof AppError))
        logger.error({ job: parent.jobId, err: error }, `an occurrence is late: ${reasonOf(error)}`);
      return parent.version + (error instanceof AppError && error.kind !== 'unavailable' ? 1 : 0);
    }
  };
}

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
