import { AppError, notFound } from '../errors.ts';
import type { AnyEvent } from '../events/events.ts';
import type { JobEvent, JobFile, JobRequest, Repeat } from '../events/jobs.ts';
import type { Decider } from './decider.ts';

interface Asked {
  readonly request: JobRequest;
  /** Of the last attempt that was started. */
  readonly attempt: number;
}

/** An occurrence is due at `next`. */
interface Repeating extends Asked {
  readonly status: 'repeating';
  readonly next: string;
  /** Occurrences so far. */
  readonly occurred: number;
}
interface Waiting extends Asked {
  readonly status: 'waiting';
  /** Attempts that count. */
  readonly counted: number;
}
interface Running extends Asked {
  readonly status: 'running';
  readonly counted: number;
}
interface Dead extends Asked {
  readonly status: 'dead';
  readonly dropped: boolean;
}
interface Succeeded extends Asked {
  readonly status: 'succeeded';
  /** Items. */
  readonly failed: number;
}
interface Cancelled extends Asked {
  readonly status: 'cancelled';
}
type Present = Repeating | Waiting | Running | Dead | Succeeded | Cancelled;

type State = { readonly status: 'none' } | Present;

/** What somebody who may see the job wants of it. */
type Wish =
  | { readonly type: 'CancelJob' }
  | { readonly type: 'RetryJob'; readonly failedOnly: boolean }
  | { readonly type: 'ChangeRepeat' }
  | { readonly type: 'DropDeadLetter' };

/** What a worker says of its attempt. */
type Report =
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

/** A time of a repeating job has come. `due`: the one that the job waited for; `at`: the last one that has come. */
interface Occurrence {
  readonly type: 'Occur';
  readonly due: string;
  readonly at: string;
  /** Null when all of them are passed over. */
  readonly occurrenceId: string | null;
  readonly passedOver: number;
  readonly next: string | null;
}

export type JobCommand =
  | { readonly type: 'RequestJob'; readonly request: JobRequest }
  | { readonly type: 'StartAttempt'; readonly worker: string }
  | Occurrence
  | (Wish & { readonly actor: string; readonly isAdmin: boolean })
  | (Report & { readonly attempt: number });

function evolve(state: State, event: AnyEvent): State {
  switch (event.type) {
    case 'JobRequested':
      return begin(event.request, 0);
    case 'JobRetried':
      return begin(event.request, event.attempt);
    default:
      return state.status === 'none' ? state : evolvePresent(state, event);
  }
}

const begin = (request: JobRequest, attempt: number): State =>
  request.repeat
    ? { status: 'repeating', request, attempt, next: request.repeat.first, occurred: 0 }
    : { status: 'waiting', request, attempt, counted: 0 };

function evolvePresent({ request, attempt, ...state }: Present, event: AnyEvent): State {
  const asked = { request, attempt };
  switch (event.type) {
    case 'JobAttemptStarted':
      return { ...asked, status: 'running', attempt: event.attempt, counted: event.counted };
    case 'JobAttemptFailed':
      return { ...asked, status: 'waiting', counted: event.counted };
    case 'JobCompleted':
      return { ...asked, status: 'succeeded', failed: event.failed };
    case 'JobDied':
      return { ...asked, status: 'dead', dropped: false };
    case 'JobCancelled':
      return { ...asked, status: 'cancelled' };
    case 'JobOccurred':
      return event.next === null
        ? { ...asked, status: 'succeeded', failed: 0 }
        : { ...asked, status: 'repeating', next: event.next, occurred: event.number };
    case 'JobRepeatChanged':
      if (state.status !== 'repeating') return { ...asked, ...state };
      return { ...state, attempt, request: { ...request, repeat: event.repeat }, next: event.repeat.first };
    case 'DeadLetterDropped':
      return { ...asked, status: 'dead', dropped: true };
    default:
      return { ...asked, ...state };
  }
}

/** What is found out once it is known that the command was not sent before. */
export interface JobContext {
  /** Of one that is to repeat in another way; its count is of occurrences from now on. */
  readonly repeat?: Repeat;
}

function decide(jobId: string, command: JobCommand, state: State, { repeat }: JobContext = {}): JobEvent {
  if (command.type === 'RequestJob') {
    if (state.status !== 'none') throw new Error('A new job got the id of another one.');
    return { type: 'JobRequested', jobId, request: command.request };
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
      return { jobId, ...wish(command, state, repeat) };
    default:
      return { jobId, ...report(command, state) };
  }
}

/** What is decided, without the job that it is about. */
type Decided = JobEvent extends infer Event ? (Event extends JobEvent ? Omit<Event, 'jobId'> : never) : never;

type CommandOf<Type extends JobCommand['type']> = Extract<JobCommand, { type: Type }>;

/** Whoever may start one has leased the job: an attempt that still runs then has lost its worker, and counts. */
function start({ worker }: CommandOf<'StartAttempt'>, state: Present): Decided {
  if (state.status !== 'waiting' && state.status !== 'running') throw ended();
  const takesOver = state.status === 'running';
  const counted = state.counted + (takesOver ? 1 : 0);
  return { type: 'JobAttemptStarted', attempt: state.attempt + 1, counted, takesOver, worker };
}

function occur({ due, at, occurrenceId, passedOver, next }: Occurrence, state: Present): Decided {
  if (state.status !== 'repeating' || state.next !== due) throw ended();
  const number = state.occurred + (occurrenceId === null ? 0 : 1);
  return { type: 'JobOccurred', occurrenceId, number, at, passedOver, next };
}

/** The time that is due stays, unless it is one of other times. */
function changeRepeat(state: Present, repeat?: Repeat): Decided {
  if (state.status !== 'repeating')
    throw new AppError('rejected', 'NOT_REPEATING', 'The job does not repeat, or not any more.');
  if (!repeat) throw new Error('The repeat of the job is missing.');
  const { repeat: before } = state.request;
  const isSame = before?.cron === repeat.cron && before.timeZone === repeat.timeZone;
  const count = repeat.count === null ? null : state.occurred + repeat.count;
  return { type: 'JobRepeatChanged', repeat: { ...repeat, count, first: isSame ? state.next : repeat.first } };
}

function wish(
  command: CommandOf<'CancelJob' | 'RetryJob' | 'ChangeRepeat' | 'DropDeadLetter'>,
  state: Present,
  repeat?: Repeat,
): Decided {
  if (command.actor !== state.request.ownerId && !command.isAdmin) throw jobNotFound();
  switch (command.type) {
    case 'CancelJob':
      if (isOver(state)) throw ended();
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

function report(command: CommandOf<Report['type']>, state: Present): Decided {
  if (state.status !== 'running' || state.attempt !== command.attempt) throw ended();
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
const ended = () => new AppError('rejected', 'JOB_ENDED', 'The job has ended, or somebody else is at it.');
const notRetriable = () =>
  new AppError(
    'rejected',
    'JOB_NOT_RETRIABLE',
    'Only a job that is dead or cancelled can be done again, or the failed items of a batch.',
  );

export const job: Decider<State, JobCommand, JobContext | undefined> = {
  category: 'job',
  initial: { status: 'none' },
  evolve,
  decide,
};
