import { describe, expect, it } from '@jest/globals';
import { given } from '../../test/support/decider.ts';
import { repeatOf, requestOf } from '../../test/support/jobs.ts';
import type { JobEvent } from '../events/jobs.ts';
import { job, type JobCommand } from './job.ts';

const jobId = 'job-1';
const request = requestOf();
const later = { ...request, runAt: '2030-01-01T00:00:00.000Z' };
const first = '2030-01-01T09:00:00.000Z';
const second = '2030-01-02T09:00:00.000Z';
const repeating = { ...request, repeat: repeatOf('0 9 * * *', 'UTC', first) };

const requested: JobEvent = { type: 'JobRequested', jobId, request };
const scheduled: JobEvent = { type: 'JobRequested', jobId, request: later };
const began = (attempt: number, counted = 0, takesOver = false): JobEvent => ({
  type: 'JobAttemptStarted',
  jobId,
  attempt,
  counted,
  takesOver,
  worker: 'w',
});
const retryAt = '2030-01-01T00:00:01.000Z';
const why = { code: 'C', error: 'e' };
const failed = (attempt: number, counted: number): JobEvent => ({
  type: 'JobAttemptFailed',
  jobId,
  attempt,
  counted,
  ...why,
  retryAt,
});
const numbers = { done: 2, total: 3, failed: 1 };
const completed = (attempt: number): JobEvent => ({
  type: 'JobCompleted',
  jobId,
  attempt,
  ...numbers,
  file: null,
  result: '{}',
});
const died = (attempt: number): JobEvent => ({ type: 'JobDied', jobId, attempt, ...why });
const cancelled = (attempt = 0): JobEvent => ({ type: 'JobCancelled', jobId, attempt });
const dropped: JobEvent = { type: 'DeadLetterDropped', jobId };
const repeats: JobEvent = { type: 'JobRequested', jobId, request: repeating };
const occurred = (next: string | null): JobEvent => ({
  type: 'JobOccurred',
  jobId,
  occurrenceId: 'job-2',
  number: 1,
  at: first,
  passedOver: 0,
  next,
});
const third = '2030-01-03T09:00:00.000Z';
const weekly: JobEvent = { type: 'JobRepeatChanged', jobId, repeat: repeatOf('0 9 * * 4', 'UTC', third) };
const retried = (attempt: number, failedOnly = false): JobEvent => ({
  type: 'JobRetried',
  jobId,
  request,
  attempt,
  failedOnly,
});

const owner = { actor: 'user-1', isAdmin: false };
const start: JobCommand = { type: 'StartAttempt', worker: 'w' };
const fail = (attempt: number, counts = true): JobCommand => ({
  type: 'FailAttempt',
  attempt,
  ...why,
  counts,
  retryAt,
});
const giveUp = (attempt: number): JobCommand => ({ type: 'GiveUp', attempt, ...why });
const progress = (attempt: number): JobCommand => ({ type: 'Progress', attempt, ...numbers });
const complete = (attempt: number): JobCommand => ({ type: 'Complete', attempt, ...numbers, file: null, result: '{}' });
const cancel: JobCommand = { type: 'CancelJob', ...owner };
const retry = (failedOnly = false): JobCommand => ({ type: 'RetryJob', failedOnly, ...owner });
const drop: JobCommand = { type: 'DropDeadLetter', ...owner };
const occur = (at: string): JobCommand => ({
  type: 'Occur',
  due: at,
  at,
  occurrenceId: 'job-2',
  passedOver: 0,
  next: second,
});

type Case = [string, readonly JobEvent[], JobCommand, JobEvent | string];

describe('a job', () => {
  it('is asked for', () => {
    expect(given(job).when({ type: 'RequestJob', request })).toEqual(requested);
  });

  it('that is there cannot be asked for again', () => {
    const again = given(job, requested).when({ type: 'RequestJob', request });
    expect(again).toBe('A new job got the id of another one.');
  });

  it.each<Case>([
    ['that never was is begun', [], start, 'JOB_NOT_FOUND'],
    ['that waits is begun', [requested], start, began(1)],
    ['that was to wait is begun', [scheduled], start, began(1)],
    ['that failed is begun again', [requested, began(1), failed(1, 1)], start, began(2, 1)],
    ['whose attempt was none is begun again', [requested, began(1), failed(1, 0)], start, began(2, 0)],
    ['that runs is taken over, and that counts', [requested, began(1)], start, began(2, 1, true)],
    ['that was taken over is taken over', [requested, began(1), began(2, 1, true)], start, began(3, 2, true)],
    ['that is done is begun', [requested, began(1), completed(1)], start, 'JOB_ENDED'],
    ['that is dead is begun', [requested, began(1), died(1)], start, 'JOB_ENDED'],
    ['that was cancelled is begun', [requested, cancelled()], start, 'JOB_ENDED'],
    ['that repeats is begun', [repeats], start, 'JOB_ENDED'],
    ['that was retried is begun', [requested, began(1), died(1), retried(1)], start, began(2)],
  ])('%s', (_, events, command, outcome) => expect(given(job, ...events).when(command)).toEqual(outcome));
});

describe('an attempt', () => {
  const running = [requested, began(1)];
  it.each<Case>([
    ['fails', running, fail(1), failed(1, 1)],
    ['fails, and that does not count', running, fail(1, false), failed(1, 0)],
    ['fails after one that counted', [requested, began(1), failed(1, 1), began(2, 1)], fail(2), failed(2, 2)],
    ['is the last', running, giveUp(1), died(1)],
    ['has come so far', running, progress(1), { type: 'JobProgressed', jobId, attempt: 1, ...numbers }],
    ['is done', running, complete(1), completed(1)],
    [
      'is done after it has come so far',
      [...running, { type: 'JobProgressed', jobId, attempt: 1, ...numbers }],
      complete(1),
      completed(1),
    ],
    ['that was taken over is done', [...running, began(2, 1, true)], complete(1), 'JOB_ENDED'],
    ['that was taken over fails', [...running, began(2, 1, true)], fail(1), 'JOB_ENDED'],
    ['that never began is done', [requested], complete(1), 'JOB_ENDED'],
    ['of a cancelled job is done', [...running, cancelled(1)], complete(1), 'JOB_ENDED'],
    ['that is done is done again', [...running, completed(1)], complete(1), 'JOB_ENDED'],
    ['that failed has come so far', [...running, failed(1, 1)], progress(1), 'JOB_ENDED'],
  ])('%s', (_, events, command, outcome) => expect(given(job, ...events).when(command)).toEqual(outcome));
});

describe('somebody who may see the job', () => {
  const dead = [requested, began(1), died(1)];
  const done = [requested, began(1), completed(1)];
  it.each<Case>([
    ['cancels it while it waits', [requested], cancel, cancelled()],
    ['cancels it while it runs', [requested, began(1)], cancel, cancelled(1)],
    ['cancels it between attempts', [requested, began(1), failed(1, 1)], cancel, cancelled()],
    ['ends its repeating', [repeats], cancel, cancelled()],
    ['cancels it when it is done', done, cancel, 'JOB_ENDED'],
    ['cancels it when it is dead', dead, cancel, 'JOB_ENDED'],
    ['cancels it twice', [requested, cancelled()], cancel, 'JOB_ENDED'],
    ['wants it again when it is dead', dead, retry(), retried(1)],
    ['wants it again when it was cancelled', [scheduled, cancelled()], retry(), retried(0)],
    ['wants it again when it is done', done, retry(), 'JOB_NOT_RETRIABLE'],
    ['wants what failed again when it is done', done, retry(true), retried(1, true)],
    ['wants it again while it runs', [requested, began(1)], retry(), 'JOB_NOT_RETRIABLE'],
    ['wants its repeating again', [repeats, cancelled()], retry(), 'JOB_NOT_RETRIABLE'],
    ['does not want to hear of it any more', dead, drop, dropped],
    ['does not want to hear of it twice', [...dead, dropped], drop, 'DEAD_LETTER_NOT_FOUND'],
    ['does not want to hear of one that lives', [requested], drop, 'DEAD_LETTER_NOT_FOUND'],
  ])('%s', (_, events, command, outcome) => expect(given(job, ...events).when(command)).toEqual(outcome));

  it('wants what failed again where nothing did', () => {
    const whole = { ...completed(1), failed: 0 } as JobEvent;
    expect(given(job, requested, began(1), whole).when(retry(true))).toBe('JOB_NOT_RETRIABLE');
  });

  it.each([cancel, retry(), drop])('is its owner, or an admin: $type', (wish) => {
    const events = wish.type === 'CancelJob' ? [requested] : dead;
    expect(given(job, ...events).when({ ...wish, actor: 'user-2' } as JobCommand)).toBe('JOB_NOT_FOUND');
    expect(given(job, ...events).when({ ...wish, actor: 'user-2', isAdmin: true } as JobCommand)).toHaveProperty(
      'type',
    );
  });
});

describe('a repeating job', () => {
  it.each<Case>([
    ['has its time', [repeats], occur(first), occurred(second)],
    [
      'has its next time',
      [repeats, occurred(second)],
      occur(second),
      { ...occurred(second), at: second, number: 2 } as JobEvent,
    ],
    ['has a time that is not its next', [repeats], occur(second), 'JOB_ENDED'],
    ['has the same time twice', [repeats, occurred(second)], occur(first), 'JOB_ENDED'],
    ['has a time after it was cancelled', [repeats, cancelled()], occur(first), 'JOB_ENDED'],
    ['has a time after the last one', [repeats, occurred(null)], occur(first), 'JOB_ENDED'],
    [
      'has its time after times were passed over, which are no occurrences',
      [repeats, { ...occurred(second), occurrenceId: null, number: 0, passedOver: 3 } as JobEvent],
      occur(second),
      { ...occurred(second), at: second } as JobEvent,
    ],
    [
      'has the next time of a changed repeat',
      [repeats, weekly],
      occur(third),
      { ...occurred(second), at: third } as JobEvent,
    ],
    ['has no time that was due before its repeat changed', [repeats, weekly], occur(first), 'JOB_ENDED'],
    ['stays cancelled when its repeat is changed after', [repeats, cancelled(), weekly], occur(third), 'JOB_ENDED'],
    ['is no other job', [requested], occur(first), 'JOB_ENDED'],
  ])('%s', (_, events, command, outcome) => expect(given(job, ...events).when(command)).toEqual(outcome));
});

it('is not touched by what happens to anything else', () => {
  expect(given(job, requested, { type: 'AlbumDeleted', albumId: 'album-1', name: 'n', year: 1 }).state).toEqual(
    given(job, requested).state,
  );
});
