import type { z } from 'zod';
import type { Commands } from '../commands/commands.ts';
import type { JobFile } from '../events/jobs.ts';
import type { Database } from '../postgres/pool.ts';
import type { OwnedPosition } from '../projections/playlist-as-of.ts';
import type { Files } from '../providers/files/files.ts';
import type { Mail } from '../providers/mail/mail.ts';
import type { Pauses } from './backoff.ts';
import type { Items } from './items.ts';
import type { AskedMail } from './mail-turns.ts';
import type { NoteRefusal } from './refusals.ts';
import type { StoredFile } from './stored-files.ts';

/** One kind of job: what it asks for and what it does. It is one file in `jobs/types` and one line in `jobs/job-types.ts`. */
export interface JobType<Payload = unknown> {
  readonly name: string;
  /** Who may start one by `POST /jobs`. */
  readonly access: 'users' | 'admins';
  /** Whether it writes or reads files. */
  readonly usesFiles?: boolean;
  /** Schema of the request's `payload`. */
  readonly payload: z.ZodType<Payload>;
  /** Pauses between attempts. */
  readonly backoff: 'exponential' | 'fixed' | 'none';
  /** Plans a request: what is recorded and stored for it. Throws an AppError when the job must not be accepted. */
  plan(payload: Payload, context: PlanContext): Promise<JobPlan> | JobPlan;
  /** Runs in a worker. Throws a JobFailure; any other error counts as a retryable one. */
  work(work: Work, services: JobServices): Promise<JobOutcome>;
}

/** What a plan may use while its job is being accepted. */
export interface PlanContext {
  readonly jobId: string;
  /** Account id. */
  readonly caller: string;
  readonly isAdmin: boolean;
  readonly database: Database;
  /** The current position of a playlist; undefined when there is no such playlist. */
  readonly positionOf: (playlistId: string) => Promise<OwnedPosition | undefined>;
  readonly files: Files;
  readonly mail: { readonly enabled: readonly string[]; readonly default: string };
  /** The longest duration of a `dummy`; undefined when such jobs are off. */
  readonly dummySeconds: number | undefined;
}

export interface JobPlan {
  /** They are recorded in the log, so nothing personal may be in them. */
  readonly parameters: object;
  /** Stored in Postgres until 30 days after the job's end. */
  readonly payload?: object;
  /** Stored as long, each with its outcome. */
  readonly items?: readonly object[];
  /** Provider of mail, when the job sends any. */
  readonly provider?: string;
  /** Size of the file that the job will make, as far as it is known. */
  readonly bytes?: number;
}

/** One attempt at a job. */
export interface Work {
  readonly jobId: string;
  readonly ownerId: string;
  /** As of now. What only an admin may do is done only while the owner is one. */
  readonly ownerIsAdmin: boolean;
  readonly attempt: number;
  /** How many attempts may fail, of the job and of each of its items. */
  readonly allowed: number;
  /** Between attempts. */
  readonly pauses: Pauses;
  readonly parameters: unknown;
  readonly payload: unknown;
  readonly provider: string | undefined;
  /** Fires when the job is cancelled, the lease is lost, the attempt has taken too long, or the process stops. */
  readonly signal: AbortSignal;
  /** The job's items, where it has any. */
  readonly items: Items;
  /** Throws a JobFailure once the owner has lost the right to the job, which is read once a second. Call it before each further step. */
  mustBeAllowed(): Promise<void>;
  /** Reports progress, which is recorded at checkpoints only and is not waited for. Rejects when an earlier checkpoint failed. */
  progress(progress: Progress): Promise<void>;
  /** Does something once, however often the job is attempted. `effect` is the name under which that is remembered. */
  once(effect: string, act: () => Promise<unknown>): Promise<void>;
}

export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly failed: number;
}

/** What the work of a job may use. Providers fail fast while their breaker is open. */
export interface JobServices {
  readonly database: Database;
  readonly commands: Commands;
  readonly files: Files;
  /** Counts a file against its account before it is kept. Throws a JobFailure when there is no room for it. */
  claim(file: StoredFile): Promise<void>;
  /** Resolves when a mail that a user asks for may be sent. Throws a deferred JobFailure while its mailbox has had enough. */
  mailTurn(mail: AskedMail): Promise<void>;
  readonly noteRefusal: NoteRefusal;
  /** The domain at which a provider of mail failed last, while its breaker is open or half-open. */
  failedDomainOf(provider: string): string | undefined;
  /** Sends by the provider of that name. */
  send(provider: string, mail: Mail, signal: AbortSignal): Promise<string>;
  /** A directory for unfinished files. */
  readonly scratch: string;
  /** An attempt that takes longer fails. */
  readonly attemptMs: number;
  /** The longest duration of a `dummy`. */
  readonly dummySeconds: number;
}

export interface JobOutcome extends Partial<Progress> {
  readonly file?: Omit<JobFile, 'fileId'>;
  /** For people. Nothing personal may be in it. */
  readonly result?: object;
}

/**
 * Why an attempt failed.
 *
 * - `retryable`: another attempt may succeed;
 * - `permanent`: no other attempt would succeed;
 * - `deferred`: the attempt came too early, and does not count.
 */
export class JobFailure extends Error {
  readonly kind: 'retryable' | 'permanent' | 'deferred';
  /** Stable, upper snake case. */
  readonly code: string;
  /** Of a deferred one: milliseconds until the next attempt. */
  readonly pauseMs: number | undefined;

  constructor(
    kind: 'retryable' | 'permanent' | 'deferred',
    code: string,
    message: string,
    options: { cause?: unknown; pauseMs?: number } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'JobFailure';
    this.kind = kind;
    this.code = code;
    this.pauseMs = options.pauseMs;
  }
}
