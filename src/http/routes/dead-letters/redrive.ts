import { commandIdOf, idFromCommand } from '../../../events/ids.ts';
import {
  type CommandOrigin,
  type CommandOutcome,
  originWithoutBody,
  type VersionCondition,
} from '../../../commands/command.ts';
import { AppError, notFound } from '../../../errors.ts';
import { firstEvent, hasCommand } from '../../../event-store/stream-events.ts';
import { decodeEvent } from '../../../events/codec.ts';
import type { JobRequest } from '../../../events/jobs.ts';
import { pausesOfJob } from '../../../jobs/backoff.ts';
import { jobTypeOf } from '../../../jobs/job-types.ts';
import { createRights, mustBeDoable, type RightsOf } from '../../../jobs/owner-rights.ts';
import { storedPayload } from '../../../jobs/payloads.ts';
import type { Database } from '../../../postgres/pool.ts';
import { findJob } from '../../../projections/jobs.ts';
import { payloadOf } from '../jobs/job-request.ts';
import { type JobDependencies, streamOf } from '../jobs/job-commands.ts';
import { derivedOrigin } from '../../origin.ts';

const deadLetterNotFound = () => notFound('DEAD_LETTER_NOT_FOUND', 'There is no such dead letter.');

/** The job, if it is dead and its dead letter was not dropped. Throws 404 otherwise. */
async function deadLetter(database: Database, jobId: string) {
  const found = await findJob(database, streamOf(jobId));
  if (found?.job.state !== 'dead' || found.dropped) throw deadLetterNotFound();
  return found;
}

/** The command id of a redrive with a payload. It is the same for all redrives of one death, so that only one becomes a job. */
const redriveOf = (jobId: string, diedAt: number) => commandIdOf('redrive', jobId, String(diedAt));
/** The command id with which such a redrive claims the dead letter. */
const claimOf = (jobId: string, diedAt: number) => commandIdOf(redriveOf(jobId, diedAt), 'take');

const alreadyRedriven = (cause?: unknown) =>
  new AppError('conflict', 'ALREADY_REDRIVEN', 'The job is already being redriven with another payload.', { cause });

/** Throws 409 when the dead letter of that version was claimed by a redrive with another payload. */
export async function mustNotBeRedriven(database: Database, jobId: string, version: number): Promise<void> {
  if (await hasCommand(database, jobId, claimOf(jobId, version - 1))) throw alreadyRedriven();
}

/** A dead letter with its request, as far as that is still stored. */
export async function inspect({ database, jobs }: JobDependencies, jobId: string) {
  const { job, ownerId } = await deadLetter(database, jobId);
  const { parameters, payloadId, provider } = await requestOf(database, jobId);
  const payload = payloadId === null ? null : await storedPayload(jobs.tables, payloadId);
  return { ...job, ownerId, provider, parameters: JSON.parse(parameters) as Record<string, unknown>, payload };
}

async function requestOf(database: Database, jobId: string): Promise<JobRequest> {
  const row = await firstEvent(database, jobId);
  const event = row && decodeEvent(row.type, row.value);
  if (event?.type !== 'JobRequested') throw deadLetterNotFound();
  return event.request;
}

export type Redriven = CommandOutcome & { readonly jobId: string };

/**
 * Redrives a dead job. With a corrected payload this starts a new job of the same owner and drops the dead letter. Throws 403 while
 * the owner has no right to such a job.
 */
export async function redrive(
  deps: JobDependencies,
  jobId: string,
  origin: CommandOrigin,
  { payload, rightsOf = createRights(deps.jobs.tables) }: { payload?: object | undefined; rightsOf?: RightsOf } = {},
): Promise<Redriven> {
  if (payload) return replace(deps, jobId, origin, { payload, rightsOf });
  const command = { type: 'RetryJob', failedOnly: false, actor: origin.actor, isAdmin: true } as const;
  const stream = streamOf(jobId);
  const context = async (version: number) => {
    await mustNotBeRedriven(deps.database, stream, version);
    const { job, ownerId } = await deadLetter(deps.database, jobId);
    mustBeDoable(jobTypeOf(job.type), await rightsOf(ownerId));
    return undefined;
  };
  const outcome = await deps.commands.job({ stream, command, origin, context });
  return { ...outcome, jobId };
}

/**
 * Replaces a dead job with a new one. Its id derives from the death, so that repeated and concurrent redrives start one job. The dead
 * letter is dropped first, at the version of the death, so that either this or a retry is accepted. A process that crashes in
 * between leaves a dead letter that can only be redriven with a payload.
 */
async function replace(
  deps: JobDependencies,
  replaces: string,
  sender: CommandOrigin,
  { payload, rightsOf }: { payload: object; rightsOf: RightsOf },
) {
  const { database, jobs, idempotencyKeys } = deps;
  const found = await findJob(database, streamOf(replaces));
  const type = found && jobTypeOf(found.job.type);
  if (!type || found.job.state !== 'dead') throw deadLetterNotFound();
  const { ownerId } = found;
  const rights = await rightsOf(ownerId);
  const { attempts, backoff, priority } = await requestOf(database, streamOf(replaces));
  const diedAt = found.version - (found.dropped ? 1 : 0);
  const claim = originWithoutBody({ ...sender, commandId: claimOf(replaces, diedAt), repeatable: true });
  const job = {
    type,
    replaces,
    ownerId,
    ownerIsAdmin: rights.isAdmin,
    payload: payloadOf(type, payload, jobs.batch.items, ['payload']),
    handling: { attempts, backoff: pausesOfJob(backoff).strategy, priority },
    check: async () => {
      mustBeDoable(type, rights);
      if (found.dropped && !(await hasCommand(database, replaces, claim.commandId))) throw deadLetterNotFound();
    },
    take: () => drop(deps, replaces, claim, [diedAt]).catch(unlessRetried),
  };
  const origin = keyedOrigin(sender, derivedOrigin(sender, redriveOf(replaces, diedAt), idempotencyKeys, payload));
  return jobs.accept(job, origin, true).catch(async (error: unknown) => {
    if (!(error instanceof AppError) || error.kind !== 'reused') throw error;
    throw (await isKeyOf(database, idFromCommand('job', origin.commandId), sender)) ? error : alreadyRedriven(error);
  });
}

/** Adds the key to the hashes, so that only a redrive under the same idempotency key counts as repeated. */
function keyedOrigin({ repeatable, commandId }: CommandOrigin, origin: CommandOrigin): CommandOrigin {
  const keyed = (hash: string) => (repeatable ? `${hash}.${commandId}` : hash);
  return { ...origin, bodyHash: keyed(origin.bodyHash), olderBodyHashes: origin.olderBodyHashes.map(keyed) };
}

/** Whether the job was requested under the same idempotency key, with any payload. */
async function isKeyOf(database: Database, jobId: string, { repeatable, commandId }: CommandOrigin): Promise<boolean> {
  const row = await firstEvent(database, jobId);
  return repeatable && row?.bodyHash.endsWith(`.${commandId}`) === true;
}

/** A stale version means that the job is no longer dead, or has died again. */
function unlessRetried(error: unknown): never {
  const isOver = error instanceof AppError && error.kind === 'stale';
  throw isOver ? new AppError('conflict', 'CONFLICT', 'The job has just been retried.', { cause: error }) : error;
}

/** Removes a dead letter from the list. */
export function drop(
  { commands }: JobDependencies,
  jobId: string,
  origin: CommandOrigin,
  expectedVersion?: VersionCondition,
): Promise<CommandOutcome> {
  const command = { type: 'DropDeadLetter', actor: origin.actor, isAdmin: true } as const;
  return commands.job({ stream: streamOf(jobId), command, origin, expectedVersion });
}

/** The outcome of one of many. */
export type RedriveOutcome =
  | { readonly jobId: string; readonly redriven: true }
  | { readonly jobId: string; readonly redriven: false; readonly code: string; readonly message: string };

/** Redrives each job separately: a failure does not stop the others. */
export async function redriveMany(deps: JobDependencies, jobIds: readonly string[], origin: CommandOrigin) {
  const outcomes: RedriveOutcome[] = [];
  const rightsOf = createRights(deps.jobs.tables);
  for (let from = 0; from < jobIds.length; from += CONCURRENCY) {
    const part = jobIds.slice(from, from + CONCURRENCY);
    outcomes.push(...(await Promise.all(part.map((jobId) => redriveOne(deps, jobId, origin, rightsOf)))));
  }
  return outcomes;
}

const CONCURRENCY = 50;

async function redriveOne(
  deps: JobDependencies,
  jobId: string,
  origin: CommandOrigin,
  rightsOf: RightsOf,
): Promise<RedriveOutcome> {
  try {
    await redrive(deps, jobId, derived(origin, jobId), { rightsOf });
    return { jobId, redriven: true };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { jobId, redriven: false, code: error.code, message: error.message };
  }
}

/** The origin of one of several commands of a request: its id is its own, and the same when the request is repeated. */
const derived = (origin: CommandOrigin, part: string): CommandOrigin => ({
  ...origin,
  commandId: commandIdOf(origin.commandId, part),
});
