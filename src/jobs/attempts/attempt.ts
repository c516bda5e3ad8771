import { originWithoutBody } from '../../commands/command.ts';
import type { JobCommand } from '../../commands/job.ts';
import type { Commands } from '../../commands/commands.ts';
import { AppError } from '../../errors.ts';
import { newId } from '../../events/ids.ts';
import { sleep } from '../../concurrency/sleep.ts';
import { isConnectionLost } from '../../postgres/outage.ts';
import { backoffMs, type Pauses } from '../backoff.ts';
import { wereFilesAway } from '../guarded-files.ts';
import type { JobOutcome, JobType } from '../job-type.ts';
import type { QueuedJob } from '../leases.ts';

/** One attempt at a job, from its start to its record. */
export interface Attempt {
  readonly job: QueuedJob;
  readonly type: JobType;
  /** From 1. */
  readonly number: number;
  /** Fires when nothing of it counts any more, or the process stops; the reason says which. */
  readonly signal: AbortSignal;
  /** The events of this attempt, each on the one before: somebody else's in between ends it. */
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
  /** It is somebody else's, or nobody's, by now: there is nothing to record. */
  | { readonly kind: 'lost' };

export type Handle = (attempt: Attempt) => Promise<Ending>;
/** Does something around what comes next. */
export type Middleware = (next: Handle) => Handle;

/** The first one is the outermost. */
export const chain = (middlewares: readonly Middleware[], innermost: Handle): Handle =>
  middlewares.reduceRight((next, middleware) => middleware(next), innermost);

/** Appends events of one attempt. */
export interface AttemptEvents {
  /** Of the job's stream, after the last event of the attempt. */
  readonly version: number;
  /** Resolves when it is accepted; rejects with an AppError when somebody else's came first. */
  append(command: JobCommand): Promise<void>;
}

/** What cannot be written down for now is written again after so long. */
export const AGAIN: Pauses = { firstMs: 250, mostMs: 2_000 };
/** What is neither an answer nor said to be an outage may be a fault of ours, which asking does not mend. */
const MOST_TRIES = 240;

/** An outage ends by itself; what waits for an operator is left to a later attempt, and the place to other jobs. */
const isPassing = ({ kind, code }: AppError) =>
  kind === 'unavailable' && code !== 'STREAM_QUARANTINED' && code !== 'PROJECTION_STOPPED';

/** That the attempt was broken off because the database is away is recorded when it is back, unless others were sooner. */
const mayAskAgain = ({ aborted, reason }: AbortSignal, tries: number): boolean =>
  !aborted || (reason === 'database away' && tries < MOST_TRIES);

/**
 * The code of a failure of our own infrastructure: the database ends a connection or gives none, or the log, the read models or the
 * store of files cannot be used for now. It says nothing about a job, so it is no attempt. Undefined for any other failure.
 */
export function infrastructureFailure(error: unknown): string | undefined {
  if (error instanceof AppError) return isPassing(error) ? error.code : undefined;
  if (isConnectionLost(error)) return 'DATABASE_UNAVAILABLE';
  return wereFilesAway(error) ? 'FILES_UNAVAILABLE' : undefined;
}

/** Each command is decided on the version that the one before it made, never on a newer one. */
export function attemptEvents(commands: Pick<Commands, 'job'>, job: QueuedJob, signal: AbortSignal): AttemptEvents {
  let { version } = job;
  let turn: Promise<void> = Promise.resolve();

  /** While nobody knows whether it happened, the same command asks again. */
  async function send(command: JobCommand): Promise<void> {
    // Not made of the job: a queue can give out once more what is done, and must lose then, to the same worker as to another.
    const commandId = newId();
    const about = { commandId, actor: 'system', correlationId: job.jobId };
    for (let tries = 0; ; tries += 1) {
      try {
        const origin = originWithoutBody({ ...about, repeatable: tries > 0 });
        const sent = await commands.job({
          stream: job.jobId,
          command,
          origin,
          expectedVersion: [version],
          seen: version,
        });
        version = sent.version;
        return;
      } catch (error) {
        const isUnclear = !(error instanceof AppError) && tries < MOST_TRIES;
        const isOutage = isUnclear || infrastructureFailure(error) !== undefined;
        if (!isOutage || !mayAskAgain(signal, tries)) throw error;
        await sleep(backoffMs(AGAIN, tries + 1), signal.aborted ? new AbortController().signal : signal);
      }
    }
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
