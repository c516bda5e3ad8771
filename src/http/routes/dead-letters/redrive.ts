import { commandIdOf, idFromCommand } from '../../../events/ids.ts';
import {
  type CommandOrigin,
  type CommandOutcome,
  originWithoutBody,
  type VersionCondition,
} from '../../../commands/command.ts';
import { AppError, notFound } from '../../../errors.ts';
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

/** A job that was given up, and that nobody has dropped. */
async function deadLetter(database: Database, jobId: string) {
  const found = await findJob(database, streamOf(jobId));
  if (found?.job.state !== 'dead' || found.dropped) throw deadLetterNotFound();
  return found;
}

/** The same of every redrive with a payload that follows the death at that version: of them one becomes a job. */
const redriveOf = (jobId: string, diedAt: number) => commandIdOf('redrive', jobId, String(diedAt));
/** Takes the dead letter for it. */
const takeOf = (jobId: string, diedAt: number) => commandIdOf(redriveOf(jobId, diedAt), 'take');

const alreadyRedriven = (cause?: unknown) =>
  new AppError('conflict', 'ALREADY_REDRIVEN', 'It is being done again with another payload.', { cause });

/** Throws when a job that is dead at that version has been taken for one that does it again with another payload. */
export async function mustNotBeRedriven(database: Database, jobId: string, version: number): Promise<void> {
  if (await hasCommand(database, jobId, takeOf(jobId, version - 1))) throw alreadyRedriven();
}

async function hasCommand(database: Database, jobId: string, commandId: string): Promise<boolean> {
  const text = 'SELECT FROM stream_events WHERE stream = $1 AND command_id = $2';
  return (await database.query({ name: 'has-command', text, values: [jobId, commandId] })).length > 0;
}

/** With what it was asked for, as far as that is still kept. */
export async function inspect({ database, jobs }: JobDependencies, jobId: string) {
  const { job, ownerId } = await deadLetter(database, jobId);
  const { parameters, payloadId, provider } = await requestOf(database, jobId);
  const payload = payloadId === null ? null : await storedPayload(jobs.tables, payloadId);
  return { ...job, ownerId, provider, parameters: JSON.parse(parameters) as Record<string, unknown>, payload };
}

async function requestOf(database: Database, jobId: string): Promise<JobRequest> {
  const [row] = await database.query<{ type: string; value: Buffer }>({
    name: 'request-of-job',
    text: 'SELECT type, value FROM stream_events WHERE stream = $1 AND version = 1',
    values: [jobId],
  });
  const event = row && decodeEvent(row.type, row.value);
  if (event?.type !== 'JobRequested') throw deadLetterNotFound();
  return event.request;
}

export type Redriven = CommandOutcome & { readonly jobId: string };

/**
 * Has it done again. With a corrected payload that is a new job of the same owner, and the dead letter is dropped. Throws 403 while the
 * owner lacks the right to it.
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
 * What follows from a death is one job, however often and by however many it is asked for: its id is made of that death. Before it
 * is written down the dead letter is dropped, at the version of the death: of this and of a retry only one is accepted. A
 * process that dies in between leaves a dead letter that can only be redriven with a payload.
 */
async function replace(
  deps: JobDependencies,
  replaces: string,
  asked: CommandOrigin,
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
  const taken = originWithoutBody({ ...asked, commandId: takeOf(replaces, diedAt), repeatable: true });
  const wish = {
    type,
    replaces,
    ownerId,
    ownerIsAdmin: rights.isAdmin,
    payload: payloadOf(type, payload, jobs.batch.items, ['payload']),
    handling: { attempts, backoff: pausesOfJob(backoff).strategy, priority },
    check: async () => {
      mustBeDoable(type, rights);
      if (found.dropped && !(await hasCommand(database, replaces, taken.commandId))) throw deadLetterNotFound();
    },
    take: () => drop(deps, replaces, taken, [diedAt]).catch(unlessRetried),
  };
  const origin = keyedOrigin(asked, derivedOrigin(asked, redriveOf(replaces, diedAt), idempotencyKeys, payload));
  return jobs.accept(wish, origin, true).catch(async (error: unknown) => {
    if (!(error instanceof AppError) || error.kind !== 'reused') throw error;
    throw (await isKeyOf(database, idFromCommand('job', origin.commandId), asked)) ? error : alreadyRedriven(error);
  });
}

/** Only a redrive under the same key is the same one. */
function keyedOrigin({ repeatable, commandId }: CommandOrigin, origin: CommandOrigin): CommandOrigin {
  const keyed = (hash: string) => (repeatable ? `${hash}.${commandId}` : hash);
  return { ...origin, bodyHash: keyed(origin.bodyHash), olderBodyHashes: origin.olderBodyHashes.map(keyed) };
}

/** Whether the job was asked for under the same key, if with another payload. */
async function isKeyOf(database: Database, jobId: string, { repeatable, commandId }: CommandOrigin): Promise<boolean> {
  const text = 'SELECT body_hash FROM stream_events WHERE stream = $1 AND version = 1';
  const [row] = await database.query<{ body_hash: string }>({ name: 'body-hash-of', text, values: [jobId] });
  return repeatable && row?.body_hash.endsWith(`.${commandId}`) === true;
}

/** It is not dead any more, or has died once more. */
function unlessRetried(error: unknown): never {
  const isOver = error instanceof AppError && error.kind === 'stale';
  throw isOver ? new AppError('conflict', 'CONFLICT', 'It has just been done again.', { cause: error }) : error;
}

/** Nobody wants to hear of it any more. */
export function drop(
  { commands }: JobDependencies,
  jobId: string,
  origin: CommandOrigin,
  expectedVersion?: VersionCondition,
): Promise<CommandOutcome> {
  const command = { type: 'DropDeadLetter', actor: origin.actor, isAdmin: true } as const;
  return commands.job({ stream: streamOf(jobId), command, origin, expectedVersion });
}

/** What became of one of many. */
export type RedriveOutcome =
  | { readonly jobId: string; readonly redriven: true }
  | { readonly jobId: string; readonly redriven: false; readonly code: string; readonly message: string };

/** Each by itself: one that cannot be done again does not stop the others. */
export async function redriveMany(deps: JobDependencies, jobIds: readonly string[], origin: CommandOrigin) {
  const outcomes: RedriveOutcome[] = [];
  const rightsOf = createRights(deps.jobs.tables);
  for (let from = 0; from < jobIds.length; from += AT_ONCE) {
    const some = jobIds.slice(from, from + AT_ONCE);
    outcomes.push(...(await Promise.all(some.map((jobId) => redriveOne(deps, jobId, origin, rightsOf)))));
  }
  return outcomes;
}

const AT_ONCE = 50;

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

/** One command of several that a request is: it has a name of its own, and the same whenever the request comes again. */
const derived = (origin: CommandOrigin, part: string): CommandOrigin => ({
  ...origin,
  commandId: commandIdOf(origin.commandId, part),
});
