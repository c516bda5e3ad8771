import type { FastifyRequest } from 'fastify';
import type { CommandOrigin, CommandOutcome } from '../../../commands/command.ts';
import { AppError } from '../../../errors.ts';
import { type Missed, MISSED, repeatFrom, type RepeatRequest } from '../../../jobs/repeats.ts';
import type { RepeatView } from '../../../projections/jobs.ts';
import { mustRecur } from './job-request.ts';
import { createRights } from '../../../jobs/owner-rights.ts';
import { type JobDependencies, visibleJob } from './job-commands.ts';
import { isAdmin } from '../../access.ts';

/** Tries after the first: an occurrence can come between reading and changing the job. */
const TRIES = 5;

/**
 * Changes the repeat of a job from now on. Fields that are not given keep their value; the end is that of a new job. The rights of
 * the owner decide what is allowed, also when an admin makes the change.
 */
export async function changeRepeat(
  deps: JobDependencies,
  request: FastifyRequest<{ Params: { id: string } }>,
  change: Partial<RepeatRequest>,
  origin: CommandOrigin,
): Promise<CommandOutcome> {
  for (let left = TRIES; ; left--) {
    try {
      return await changeOnce(deps, request, change, origin);
    } catch (error) {
      if (!(error instanceof AppError) || error.kind !== 'stale' || left === 0) throw error;
    }
  }
}

async function changeOnce(
  { database, commands, jobs }: JobDependencies,
  request: FastifyRequest<{ Params: { id: string } }>,
  change: Partial<RepeatRequest>,
  origin: CommandOrigin,
): Promise<CommandOutcome> {
  const { job, ownerId, version } = await visibleJob(database, request, request.params.id);
  const command = { type: 'ChangeRepeat', actor: origin.actor, isAdmin: isAdmin(request) } as const;
  const context = async () => {
    const changed = mustRecur({ ...repeatOf(job.repeat), ...change });
    const { isAdmin } = await createRights(jobs.tables)(ownerId);
    return { repeat: repeatFrom(changed, { seconds: jobs.repeats.seconds, isAdmin }, new Date()) };
  };
  return commands.job({ stream: job.id, command, origin, context, expectedVersion: [version] });
}

/** The current repeat without its end, which is not kept. */
function repeatOf(repeat: RepeatView | undefined): RepeatRequest {
  if (!repeat) throw new AppError('rejected', 'NOT_REPEATING', 'The job does not repeat, or no longer does.');
  const { cron, timeZone, missed } = repeat;
  return { cron, timeZone, missed: MISSED.find((each): each is Missed => each === missed) };
}
