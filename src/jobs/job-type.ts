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

/** What one kind of job wants and does: one file in `jobs/types`, and one line in `jobs/job-types.ts`. */
export interface JobType<Payload = unknown> {
  readonly name: string;
  /** Who may start one by `POST /jobs`. */
  readonly access: 'everybody' | 'admins';
  /** Whether it keeps or reads files. */
  readonly usesFiles?: boolean;
  /** Of the request's `payload`. */
  readonly payload: z.ZodType<Payload>;
  /** Pauses between attempts. */
  readonly backoff: 'exponential' | 'fixed' | 'none';
  /** Makes of a request what is written down. Throws an AppError where it is not to be. */
  plan(payload: Payload, context: PlanContext): Promise<JobPlan> | JobPlan;
  /** Done by a worker. Throws a JobFailure; whatever else is thrown is one that is tried again. */
  work(work: Work, tools: JobServices): Promise<JobOutcome>;
}

/** What is known while a job is being accepted. */
export interface PlanContext {
  readonly jobId: string;
  /** Account id. */
  readonly caller: string;
  readonly isAdmin: boolean;
  readonly database: Database;
  /** The moment that is now of a playlist; undefined when there is none. */
  readonly momentOf: (playlistId: string) => Promise<OwnedPosition | undefined>;
  readonly files: Files;
  readonly mail: { readonly enabled: readonly string[]; readonly default: string };
  /** How long a `dummy` may last; undefined where there are none. */
  readonly dummySeconds: number | undefined;
}

export interface JobPlan {
  /** Goes to the log: nothing personal. */
  readonly parameters: object;
  /** Kept in Postgres, for 30 days after the job's end. */
  readonly payload?: object;
  /** Kept in Postgres as long, each with what became of it. */
  readonly items?: readonly object[];
  /** Of mail, when the job sends any. */
  readonly provider?: string;
  /** Of the file that it will make, as far as that is known. */
  readonly bytes?: number;
}

/** One attempt at a job. */
export interface Work {
  readonly jobId: string;
  readonly ownerId: string;
  /** Now: what a request could as an admin's is done only then. */
  readonly ownerIsAdmin: boolean;
  readonly attempt: number;
  /** Attempts that may fail, of the job and of each of its items. */
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
  /** Throws a JobFailure once its owner has lost the right to it; looked at once a second. Called before what it does next. */
  mustBeAllowed(): Promise<void>;
  /** Says how far it has come; written down at checkpoints only, and not waited for. Rejects when that could not be. */
  progress(progress: Progress): Promise<void>;
  /** Does a thing once, however often the attempt is made: what was done is remembered under its name. */
  once(effect: string, act: () => Promise<unknown>): Promise<void>;
}

export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly failed: number;
}

/** What workers work with. Providers fail fast while their breaker is open. */
export interface JobServices {
  readonly database: Database;
  readonly commands: Commands;
  readonly files: Files;
  /** Counts a file against its account before it is kept. Throws a JobFailure when there is no room for it. */
  claim(file: StoredFile): Promise<void>;
  /** Resolves when a mail that a user asks for may be sent; throws a JobFailure `later` while its mailbox has had enough. */
  mailTurn(mail: AskedMail): Promise<void>;
  readonly noteRefusal: NoteRefusal;
  /** The domain at which a provider of mail failed last, while it is left alone or tried out. */
  failedDomainOf(provider: string): string | undefined;
  /** Sends by the provider of that name. */
  send(provider: string, mail: Mail, signal: AbortSignal): Promise<string>;
  /** A directory for what is not yet whole. */
  readonly scratch: string;
  /** An attempt that takes longer fails. */
  readonly attemptMs: number;
  /** How long a `dummy` may last. */
  readonly dummySeconds: number;
}

export interface JobOutcome extends Partial<Progress> {
  readonly file?: Omit<JobFile, 'fileId'>;
  /** For people; nothing personal. */
  readonly result?: object;
}

/**
 * Why an attempt did not do it.
 *
 * - `again`: there may be another attempt;
 * - `never`: no other attempt would do it;
 * - `later`: it was not the time; does not count as an attempt.
 */
export class JobFailure extends Error {
  readonly kind: 'again' | 'never' | 'later';
  /** Stable, upper snake case. */
  readonly code: string;
  /** Of `later`: milliseconds. */
  readonly pauseMs: number | undefined;

  constructor(
    kind: 'again' | 'never' | 'later',
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
