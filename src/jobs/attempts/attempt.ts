import { originWithoutBody } from '../../commands/command.ts';
import type { JobCommand } from '../../commands/job.ts';
import type { Commands } from '../../commands/commands.ts';
import { AppError } from '../../errors.ts';
import { newId } from '../../events/ids.ts';
import { isConnectionLost } from '../../postgres/outage.ts';
import { isFilesOutage } from '../guarded-files.ts';
import type { JobOutcome, JobType } from '../job-type.ts';
import type { QueuedJob } from '../leases.ts';
import { untilAppended } from './until-appended.ts';

/** One attempt at a job, from its start to its record. */
export interface Attempt {
  readonly job: QueuedJob;
  readonly type: JobType;
  /** From 1. */
  readonly number: number;
  /** Fires when the attempt no longer counts, or the process stops. The reason says which. */
  readonly signal: AbortSignal;
  /** The events of this attempt, each on the one before. An event of another process in between ends the attempt. */
  readonly events: AttemptEvents;
}

/** How an attempt ended. */
export type Ending =
  | { readonly kind: 'completed'; readonly outcome: JobOutcome }
  | {
      readonly kind: 'failed';
      readonly code: string;
      readonly error: string;
      readonly counts: boolean;
      readonly pauseMs: number;
    }
  | { readonly kind: 'died'; readonly code: string; readonly error: string }
  /** The job has ended, or another worker has it: there is nothing to record. */
  | { readonly kind: 'lost' };

export type Handle = (attempt: Attempt) => Promise<Ending>;
/** Wraps the next handler. */
export type Middleware = (next: Handle) => Handle;

/** The first middleware is the outermost. */
export const chain = (middlewares: readonly Middleware[], innermost: Handle): Handle =>
  middlewares.reduceRight((next, middleware) => middleware(next), innermost);

/** Appends events of one attempt. */
export interface AttemptEvents {
  /** Version of the job's stream after the last event of the attempt. */
  readonly version: number;
  /** Resolves when the event is accepted. Rejects with an AppError when an event of another process came first. */
  append(command: JobCommand): Promise<void>;
}

/** What is neither a refusal nor a known outage may be a fault of ours, which more tries do not mend. */
const MAX_TRIES = 240;

/** An outage ends by itself. What waits for an operator is left to a later attempt, so that other jobs get the place. */
const isPassing = ({ kind, code }: AppError) =>
  kind === 'unavailable' && code !== 'STREAM_QUARANTINED' && code !== 'PROJECTION_STOPPED';

/**
 * An attempt that was interrupted because the database is away is recorded when the database is back, unless another worker was
 * sooner.
 */
const mayTryAgain = ({ aborted, reason }: AbortSignal, tries: number): boolean =>
  !aborted || (reason === 'database away' && tries < MAX_TRIES);

/**
 * The code of a failure of our own infrastructure: the database ends a connection or gives none, or the log, the read models or the
 * store of files cannot be used for now. It says nothing about a job, so it is no attempt. Undefined for any other failure.
 */
export function infrastructureFailure(error: unknown): string | undefined {
  if (error instanceof AppError) return isPassing(error) ? error.code : undefined;
  if (isConnectionLost(error)) return 'DATABASE_UNAVAILABLE';
  return isFilesOutage(error) ? 'FILES_UNAVAILABLE' : undefined;
}

const isUnclear = (error: unknown, tries: number) => !(error instanceof AppError) && tries < MAX_TRIES;

/** Each command is decided on the version that the one before it made, never on a newer one. */
export function attemptEvents(commands: Pick<Commands, 'job'>, job: QueuedJob, signal: AbortSignal): AttemptEvents {
  let { version } = job;
  let turn: Promise<void> = Promise.resolve();

  /** Sends the same command again while its outcome is unknown. */
  async function send(command: JobCommand): Promise<void> {
    // The id is new, not derived from the job: a queue that gives out a finished job once more must lose, even to the same worker.
    const about = { commandId: newId(), actor: 'system', correlationId: job.jobId };
    const { jobId: stream } = job;
    const sent = await untilAppended(
      (tries) => {
        const origin = originWithoutBody({ ...about, repeatable: tries > 0 });
        return commands.job({ stream, command, origin, expectedVersion: [version], seen: version });
      },
      (error, tries) => {
        const isOutage = isUnclear(error, tries) || infrastructureFailure(error) !== undefined;
        return isOutage && mayTryAgain(signal, tries);
      },
      signal,
    );
    ({ version } = sent);
  }

  return {
    get version() {
      return version;
    },
    append(command) {
      const sent = turn.then(() => send(command));
      turn = sent.catch(() => undefined);
      return sent;
    },
  };
}
