import type { FastifyRequest } from 'fastify';
import type { CommandOrigin, CommandOutcome } from '../../../commands/command.ts';
import { AppError } from '../../../errors.ts';
import { type Missed, MISSED, repeatFrom, type RepeatRequest } from '../../../jobs/repeats.ts';
import type { RepeatView } from '../../../projections/jobs.ts';
import { mustRecur } from './job-request.ts';
import { createRights } from '../../../jobs/owner-rights.ts';
import { type JobDependencies, visibleJob } from './job-commands.ts';
import { isAdmin } from '../../access.ts';

/** It can occur while it is being changed. */
const TRIES = 5;

/**
 * Has a job repeat in another way from now on: what is not given stays, and it ends as late as a new one would. What is allowed
 * is so by the rights of its owner, also when an admin changes it.
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
    const asked = mustRecur({ ...repeatOf(job.repeat), ...change });
    const { isAdmin } = await createRights(jobs.tables)(ownerId);
    return { repeat: repeatFrom(asked, { seconds: jobs.repeats.seconds, isAdmin }, new Date()) };
  };
  return commands.job({ stream: job.id, command, origin, context, expectedVersion: [version] });
}

/** Its end is not among what stays. */
function repeatOf(repeat: RepeatView | undefined): RepeatRequest {
  if (!repeat) throw new AppError('rejected', 'NOT_REPEATING', 'The job does not repeat, or not any more.');
  const { cron, timeZone, missed } = repeat;
  return { cron, timeZone, missed: MISSED.find((each): each is Missed => each === missed) };
}
