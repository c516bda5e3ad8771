import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler, preParsingHookHandler } from 'fastify';
import type { ResponseCache } from '../../../cache/response-cache.ts';
import type { CachedResponse } from '../../../cache/cache.ts';
import type { Commands } from '../../../commands/commands.ts';
import { jobNotFound } from '../../../commands/job.ts';
import type { CommitNotice } from '../../../events/commit-notice.ts';
import type { Accept, JobWish } from '../../../jobs/accept.ts';
import type { MustHaveRoom } from '../../../jobs/quota.ts';
import type { RepeatLimits } from '../../../jobs/repeats.ts';
import type { Database } from '../../../postgres/pool.ts';
import { cached } from '../../../projections/engine/cache-keys.ts';
import { findJob, type FoundJob } from '../../../projections/jobs.ts';
import type { Files } from '../../../providers/files/files.ts';
import { isAdmin } from '../../access.ts';
import { callerOf } from '../../auth.ts';
import { sendAnswer, tagged } from '../../etag.ts';
import type { LinkKeys } from '../files/links.ts';
import type { ListsOf } from '../../long-answers.ts';
import { type IdempotencyKeys, markReplay, originOf } from '../../origin.ts';
import { streamIds } from '../../stream-ids.ts';

export interface JobDependencies {
  readonly commands: Commands;
  readonly database: Database;
  readonly listsOf: ListsOf;
  readonly answers: ResponseCache;
  readonly idempotencyKeys: IdempotencyKeys;
  readonly files: Pick<Files, 'open' | 'link'>;
  /** Base of every URL in an answer. */
  readonly publicUrl: string;
  readonly jobs: JobRouteServices;
}

export interface JobRouteServices {
  readonly accept: Accept;
  /** The namespace's own tables. */
  readonly tables: Database;
  readonly commits: {
    /** Returns a function that unsubscribes. */
    subscribe(listener: (notice: CommitNotice) => void): () => void;
  };
  /** `age` in seconds. */
  readonly links: { readonly keys: LinkKeys; readonly age: number };
  readonly mail: { readonly enabled: readonly string[]; readonly default: string };
  /** Provider that stores files. */
  readonly filesProvider: string;
  readonly batch: { readonly items: number; readonly bytes: number };
  readonly repeats: RepeatLimits;
  /** Throws when the account has too many jobs. A retried job counts like a new one. */
  readonly mustHaveRoom: MustHaveRoom;
}

/** For routes that start jobs. */
export interface StartDependencies extends JobDependencies {
  /** Counts the jobs that an account starts. */
  readonly onStart: onRequestAsyncHookHandler[];
  /** For routes that accept batches, imports and messages from admins. */
  readonly large: { readonly bodyLimit: number; readonly preParsing: preParsingHookHandler };
}

export const common = { tags: ['jobs'], security: [{ bearer: [] }] };

/** Statuses with which the start of a job can fail. */
export const START_FAILURES = [400, 401, 403, 409, 413, 415, 422, 429, 503] as const;

export const streamOf = streamIds('job', jobNotFound);

/** The answer with a job, for its owner and admins; undefined when there is none. */
async function representJob(database: Database, id: string): Promise<CachedResponse | undefined> {
  const found = await findJob(database, id);
  if (!found) return undefined;
  return { ...tagged(found.version, { status: 'success', data: { job: found.job } }), readers: [found.ownerId] };
}

/** Throws 404 unless the job exists and the caller owns it or is an admin. */
function mustBeReader(readers: readonly string[] | undefined, request: FastifyRequest): void {
  if (!readers || !(readers.includes(callerOf(request)) || isAdmin(request))) throw jobNotFound();
}

/** Answers with the job. Throws 404 when the caller may not see it. */
export async function sendJob(
  { answers, database }: JobDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  jobId: string,
) {
  const id = streamOf(jobId);
  const { answer: found, source } = await answers.read(cached.job(id), () => representJob(database, id));
  mustBeReader(found?.readers, request);
  if (!found) throw jobNotFound();
  return sendAnswer(request, reply.header('x-data-source', source), found);
}

/** The job. Throws 404 when the caller may not see it. */
export async function visibleJob(database: Database, request: FastifyRequest, id: string): Promise<FoundJob> {
  const found = await findJob(database, streamOf(id));
  mustBeReader(found && [found.ownerId], request);
  if (!found) throw jobNotFound();
  return found;
}

/** Starts jobs on behalf of the caller. Sets the headers of the answer and returns the job's id. */
export function jobStarter({ jobs, idempotencyKeys, publicUrl }: JobDependencies) {
  return async (request: FastifyRequest, reply: FastifyReply, job: JobWish): Promise<string> => {
    const origin = originOf(request, idempotencyKeys, (request.body as object | undefined) ?? undefined);
    const { jobId, ...outcome } = await jobs.accept(job, origin, isAdmin(request));
    markReplay(reply.header('location', `${publicUrl}/jobs/${jobId}`), outcome);
    return jobId;
  };
}
