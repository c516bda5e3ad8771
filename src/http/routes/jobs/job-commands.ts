import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler, preParsingHookHandler } from 'fastify';
import type { ResponseCache } from '../../../cache/response-cache.ts';
import type { CachedResponse } from '../../../cache/cache.ts';
import type { Commands } from '../../../commands/commands.ts';
import { jobNotFound } from '../../../commands/job.ts';
import type { CommitNotice } from '../../../events/commit-notice.ts';
import type { Accept, JobSubmission } from '../../../jobs/accept.ts';
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
  readonly jobs: JobParts;
}

export interface JobParts {
  readonly accept: Accept;
  /** The namespace's own tables. */
  readonly tables: Database;
  readonly commits: {
    /** Returns what ends it. */
    subscribe(listener: (word: CommitNotice) => void): () => void;
  };
  /** `age` in seconds. */
  readonly links: { readonly keys: LinkKeys; readonly age: number };
  readonly mail: { readonly enabled: readonly string[]; readonly standard: string };
  /** Where files are kept. */
  readonly filesProvider: string;
  readonly batch: { readonly items: number; readonly bytes: number };
  readonly repeats: RepeatLimits;
  /** What is done again counts as what is begun. */
  readonly mustHaveRoom: MustHaveRoom;
}

/** Of routes by which work is started. */
export interface StartDependencies extends JobDependencies {
  /** Counts what an account starts. */
  readonly onStart: onRequestAsyncHookHandler[];
  /** Of routes that take batches, imports and messages of admins. */
  readonly large: { readonly bodyLimit: number; readonly preParsing: preParsingHookHandler };
}

export const common = { tags: ['jobs'], security: [{ bearer: [] }] };

/** Statuses with which the start of a job can fail. */
export const START_FAILURES = [400, 401, 403, 409, 413, 415, 422, 429, 503] as const;

export const streamOf = streamIds('job', jobNotFound);

/** The job as its owner and admins see it; undefined when there is none. */
async function representJob(database: Database, id: string): Promise<CachedResponse | undefined> {
  const found = await findJob(database, id);
  if (!found) return undefined;
  return { ...tagged(found.version, { status: 'success', data: { job: found.job } }), readers: [found.ownerId] };
}

/** Throws unless there is a job, and it is the sender's, or an admin sends. */
function mustBeReader(readers: readonly string[] | undefined, request: FastifyRequest): void {
  if (!readers || !(readers.includes(callerOf(request)) || isAdmin(request))) throw jobNotFound();
}

/** Answers with the job, if whoever asks may see it. */
export async function sendJob(
  { answers, database }: JobDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  to: string,
) {
  const id = streamOf(to);
  const { answer: found, source } = await answers.read(cached.job(id), () => representJob(database, id));
  mustBeReader(found?.readers, request);
  if (!found) throw jobNotFound();
  return sendAnswer(request, reply.header('x-data-source', source), found);
}

/** The job, if whoever asks may see it. */
export async function visibleJob(database: Database, request: FastifyRequest, id: string): Promise<FoundJob> {
  const found = await findJob(database, streamOf(id));
  mustBeReader(found && [found.ownerId], request);
  if (!found) throw jobNotFound();
  return found;
}

/** Starts jobs in the name of whoever sends a request. Returns the job's id, once the head of the answer names it. */
export function jobStarter({ jobs, idempotencyKeys, publicUrl }: JobDependencies) {
  return async (request: FastifyRequest, reply: FastifyReply, wish: JobSubmission): Promise<string> => {
    const origin = originOf(request, idempotencyKeys, (request.body as object | undefined) ?? undefined);
    const { jobId, ...outcome } = await jobs.accept(wish, origin, isAdmin(request));
    markReplay(reply.header('location', `${publicUrl}/jobs/${jobId}`), outcome);
    return jobId;
  };
}
