import { AppError, notFound } from '../errors.ts';
import type { JobEvent, JobFile, JobRequest, Repeat } from '../events/jobs.ts';
import type { Decider } from './decider.ts';

/** What every state of a job that exists has. */
interface Requested {
  readonly request: JobRequest;
  /** Number of the last attempt that was started; 0 before the first. */
  readonly attempt: number;
}

/** The next occurrence is due at `next`, in ISO 8601. */
interface Repeating extends Requested {
  readonly status: 'repeating';
  readonly next: string;
  /** Occurrences so far. */
  readonly occurred: number;
}
interface Waiting extends Requested {
  readonly status: 'waiting';
  /** Attempts that count against the limit of attempts. */
  readonly counted: number;
}
interface Running extends Requested {
  readonly status: 'running';
  readonly counted: number;
}
interface Dead extends Requested {
  readonly status: 'dead';
  readonly dropped: boolean;
}
interface Succeeded extends Requested {
  readonly status: 'succeeded';
  /** Items that failed. */
  readonly failed: number;
}
interface Cancelled extends Requested {
  readonly status: 'cancelled';
}
type Present = Repeating | Waiting | Running | Dead | Succeeded | Cancelled;

type State = { readonly status: 'none' } | Present;

/** Commands of the owner or of an admin. */
type ClientCommand =
  | { readonly type: 'CancelJob' }
  | { readonly type: 'RetryJob'; readonly failedOnly: boolean }
  | { readonly type: 'ChangeRepeat' }
  | { readonly type: 'DropDeadLetter' };

/** Commands of the worker that runs the attempt. */
type WorkerCommand =
  | {
      readonly type: 'FailAttempt';
      readonly code: string;
      readonly error: string;
      readonly counts: boolean;
      readonly retryAt: string;
    }
  | { readonly type: 'GiveUp'; readonly code: string; readonly error: string }
  | { readonly type: 'Progress'; readonly done: number; readonly total: number; readonly failed: number }
  | {
      readonly type: 'Complete';
      readonly done: number;
      readonly total: number;
      readonly failed: number;
      readonly file: JobFile | null;
      readonly result: string;
    };

/** One or more occurrences of a repeating job are due. `due`: the time that the job waited for; `at`: the last time that has passed. */
interface Occurrence {
  readonly type: 'Occur';
  readonly due: string;
  readonly at: string;
  /** Id of the job of the occurrence; null when all due times are skipped. */
  readonly occurrenceId: string | null;
  readonly passedOver: number;
  readonly next: string | null;
}

export type JobCommand =
  | { readonly type: 'RequestJob' }
  | { readonly type: 'StartAttempt'; readonly worker: string }
  | Occurrence
  | (ClientCommand & { readonly actor: string; readonly isAdmin: boolean })
  | (WorkerCommand & { readonly attempt: number });

function evolve(state: State, event: JobEvent): State {
  if (event.type === 'JobRequested') return begin(event.request, 0);
  if (event.type === 'JobRetried') return begin(event.request, event.attempt);
  return state.status === 'none' ? state : evolvePresent(state, event);
}

const begin = (request: JobRequest, attempt: number): State =>
  request.repeat
    ? { status: 'repeating', request, attempt, next: request.repeat.first, occurred: 0 }
    : { status: 'waiting', request, attempt, counted: 0 };

type LaterEvent = Exclude<JobEvent, { type: 'JobRequested' | 'JobRetried' }>;

function evolvePresent({ request, attempt, ...state }: Present, event: LaterEvent): State {
  const requested = { request, attempt };
  switch (event.type) {
    case 'JobAttemptStarted':
      return { ...requested, status: 'running', attempt: event.attempt, counted: event.counted };
    case 'JobAttemptFailed':
      return { ...requested, status: 'waiting', counted: event.counted };
    case 'JobProgressed':
      return { ...requested, ...state };
    case 'JobCompleted':
      return { ...requested, status: 'succeeded', failed: event.failed };
    case 'JobDied':
      return { ...requested, status: 'dead', dropped: false };
    case 'JobCancelled':
      return { ...requested, status: 'cancelled' };
    case 'JobOccurred':
      return event.next === null
        ? { ...requested, status: 'succeeded', failed: 0 }
        : { ...requested, status: 'repeating', next: event.next, occurred: event.number };
    case 'JobRepeatChanged':
      if (state.status !== 'repeating') return { ...requested, ...state };
      return { ...state, attempt, request: { ...request, repeat: event.repeat }, next: event.repeat.first };
    case 'DeadLetterDropped':
      return { ...requested, status: 'dead', dropped: true };
  }
}

/** What is read for the decision; not read again for a command that already had its effect. */
export interface JobContext {
  /** The request of a job that is being accepted. */
  readonly request?: JobRequest;
  /** The new schedule of a repeating job; `count` is the number of occurrences from now on. */
  readonly repeat?: Repeat;
}

export interface JobTypes {
  readonly category: 'job';
  readonly state: State;
  readonly command: JobCommand;
  readonly context: JobContext | undefined;
}

function decide(jobId: string, command: JobCommand, state: State, { request, repeat }: JobContext = {}): JobEvent {
  if (command.type === 'RequestJob') {
    if (state.status !== 'none') throw new Error('The id of the new job is taken.');
    if (!request) throw new Error('The request of the job is missing.');
    return { type: 'JobRequested', jobId, request };
  }
  if (state.status === 'none') throw jobNotFound();
  switch (command.type) {
    case 'StartAttempt':
      return { jobId, ...start(command, state) };
    case 'Occur':
      return { jobId, ...occur(command, state) };
    case 'CancelJob':
    case 'RetryJob':
    case 'ChangeRepeat':
    case 'DropDeadLetter':
      return { jobId, ...decideForClient(command, state, repeat) };
    case 'FailAttempt':
    case 'GiveUp':
    case 'Progress':
    case 'Complete':
      return { jobId, ...decideForWorker(command, state) };
  }
}

/** The decided event without the job's id. */
type Decided = JobEvent extends infer Event ? (Event extends JobEvent ? Omit<Event, 'jobId'> : never) : never;

type CommandOf<Type extends JobCommand['type']> = Extract<JobCommand, { type: Type }>;

/** The worker that starts an attempt holds the lease of the job, so an attempt that still runs has lost its worker. It counts. */
function start({ worker }: CommandOf<'StartAttempt'>, state: Present): Decided {
  if (state.status !== 'waiting' && state.status !== 'running') throw jobEnded();
  const takesOver = state.status === 'running';
  const counted = state.counted + (takesOver ? 1 : 0);
  return { type: 'JobAttemptStarted', attempt: state.attempt + 1, counted, takesOver, worker };
}

function occur({ due, at, occurrenceId, passedOver, next }: Occurrence, state: Present): Decided {
  if (state.status !== 'repeating' || state.next !== due) throw jobEnded();
  const number = state.occurred + (occurrenceId === null ? 0 : 1);
  return { type: 'JobOccurred', occurrenceId, number, at, passedOver, next };
}

/** The next due time stays the same as long as cron and time zone do. */
function changeRepeat(state: Present, repeat?: Repeat): Decided {
  if (state.status !== 'repeating')
    throw new AppError('rejected', 'NOT_REPEATING', 'The job does not repeat, or no longer does.');
  if (!repeat) throw new Error('The repeat of the job is missing.');
  const { repeat: before } = state.request;
  const isSame = before?.cron === repeat.cron && before.timeZone === repeat.timeZone;
  const count = repeat.count === null ? null : state.occurred + repeat.count;
  return { type: 'JobRepeatChanged', repeat: { ...repeat, count, first: isSame ? state.next : repeat.first } };
}

function decideForClient(
  command: CommandOf<'CancelJob' | 'RetryJob' | 'ChangeRepeat' | 'DropDeadLetter'>,
  state: Present,
  repeat?: Repeat,
): Decided {
  if (command.actor !== state.request.ownerId && !command.isAdmin) throw jobNotFound();
  switch (command.type) {
    case 'CancelJob':
      if (isOver(state)) throw jobEnded();
      return { type: 'JobCancelled', attempt: state.status === 'running' ? state.attempt : 0 };
    case 'RetryJob':
      if (!canBeRetried(state, command.failedOnly)) throw notRetriable();
      return {
        type: 'JobRetried',
        request: { ...state.request, runAt: null },
        attempt: state.attempt,
        failedOnly: command.failedOnly,
      };
    case 'ChangeRepeat':
      return changeRepeat(state, repeat);
    case 'DropDeadLetter':
      if (state.status !== 'dead' || state.dropped)
        throw notFound('DEAD_LETTER_NOT_FOUND', 'There is no such dead letter.');
      return { type: 'DeadLetterDropped' };
  }
}

function decideForWorker(command: CommandOf<WorkerCommand['type']>, state: Present): Decided {
  if (state.status !== 'running' || state.attempt !== command.attempt) throw jobEnded();
  const { attempt, counted } = state;
  switch (command.type) {
    case 'FailAttempt': {
      const { code, error, retryAt, counts } = command;
      return { type: 'JobAttemptFailed', attempt, counted: counted + (counts ? 1 : 0), code, error, retryAt };
    }
    case 'GiveUp':
      return { type: 'JobDied', attempt, code: command.code, error: command.error };
    case 'Progress': {
      const { done, total, failed } = command;
      return { type: 'JobProgressed', attempt, done, total, failed };
    }
    case 'Complete': {
      const { done, total, failed, file, result } = command;
      return { type: 'JobCompleted', attempt, done, total, failed, file, result };
    }
  }
}

const isOver = ({ status }: Present) => status === 'succeeded' || status === 'dead' || status === 'cancelled';

const canBeRetried = (state: Present, failedOnly: boolean) =>
  !state.request.repeat &&
  (state.status === 'dead' ||
    state.status === 'cancelled' ||
    (failedOnly && state.status === 'succeeded' && state.failed > 0));

export const jobNotFound = () => notFound('JOB_NOT_FOUND', 'There is no such job.');
const jobEnded = () => new AppError('rejected', 'JOB_ENDED', 'The job has ended, or another worker runs it.');
const notRetriable = () =>
  new AppError(
    'rejected',
    'JOB_NOT_RETRIABLE',
    'Only a job that is dead or cancelled, or the failed items of a batch, can be retried.',
  );

export const job: Decider<JobTypes> = {
  category: 'job',
  initial: { status: 'none' },
  evolve,
  decide,
};
