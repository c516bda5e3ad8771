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
  it('is requested', () => {
    expect(given(job).when({ type: 'RequestJob' }, { request })).toEqual(requested);
  });

  it('cannot be requested twice', () => {
    const repeated = given(job, requested).when({ type: 'RequestJob' }, { request });
    expect(repeated).toBe('The id of the new job is taken.');
  });

  it.each<Case>([
    ['cannot be started when it does not exist', [], start, 'JOB_NOT_FOUND'],
    ['is started while it waits', [requested], start, began(1)],
    ['is started when it was scheduled for later', [scheduled], start, began(1)],
    ['is started again after a failed attempt', [requested, began(1), failed(1, 1)], start, began(2, 1)],
    ['is started again after an attempt that does not count', [requested, began(1), failed(1, 0)], start, began(2, 0)],
    ['is taken over while it runs, and the lost attempt counts', [requested, began(1)], start, began(2, 1, true)],
    ['is taken over a second time', [requested, began(1), began(2, 1, true)], start, began(3, 2, true)],
    ['cannot be started after it succeeded', [requested, began(1), completed(1)], start, 'JOB_ENDED'],
    ['cannot be started when it is dead', [requested, began(1), died(1)], start, 'JOB_ENDED'],
    ['cannot be started after it was cancelled', [requested, cancelled()], start, 'JOB_ENDED'],
    ['cannot be started when it repeats', [repeats], start, 'JOB_ENDED'],
    ['is started after it was retried', [requested, began(1), died(1), retried(1)], start, began(2)],
  ])('%s', (_, events, command, outcome) => expect(given(job, ...events).when(command)).toEqual(outcome));
});

describe('an attempt', () => {
  const running = [requested, began(1)];
  it.each<Case>([
    ['fails', running, fail(1), failed(1, 1)],
    ['fails without counting', running, fail(1, false), failed(1, 0)],
    ['fails after one that counted', [requested, began(1), failed(1, 1), began(2, 1)], fail(2), failed(2, 2)],
    ['is the last before the job is given up', running, giveUp(1), died(1)],
    ['reports progress', running, progress(1), { type: 'JobProgressed', jobId, attempt: 1, ...numbers }],
    ['completes', running, complete(1), completed(1)],
    [
      'completes after it reported progress',
      [...running, { type: 'JobProgressed', jobId, attempt: 1, ...numbers }],
      complete(1),
      completed(1),
    ],
    ['cannot complete after it was taken over', [...running, began(2, 1, true)], complete(1), 'JOB_ENDED'],
    ['cannot fail after it was taken over', [...running, began(2, 1, true)], fail(1), 'JOB_ENDED'],
    ['cannot complete before it started', [requested], complete(1), 'JOB_ENDED'],
    ['cannot complete after the job was cancelled', [...running, cancelled(1)], complete(1), 'JOB_ENDED'],
    ['cannot complete twice', [...running, completed(1)], complete(1), 'JOB_ENDED'],
    ['cannot report progress after it failed', [...running, failed(1, 1)], progress(1), 'JOB_ENDED'],
  ])('%s', (_, events, command, outcome) => expect(given(job, ...events).when(command)).toEqual(outcome));
});

describe('the owner of the job', () => {
  const dead = [requested, began(1), died(1)];
  const done = [requested, began(1), completed(1)];
  it.each<Case>([
    ['cancels it while it waits', [requested], cancel, cancelled()],
    ['cancels it while it runs', [requested, began(1)], cancel, cancelled(1)],
    ['cancels it between attempts', [requested, began(1), failed(1, 1)], cancel, cancelled()],
    ['cancels it when it repeats', [repeats], cancel, cancelled()],
    ['cannot cancel it after it succeeded', done, cancel, 'JOB_ENDED'],
    ['cannot cancel it when it is dead', dead, cancel, 'JOB_ENDED'],
    ['cannot cancel it twice', [requested, cancelled()], cancel, 'JOB_ENDED'],
    ['retries it when it is dead', dead, retry(), retried(1)],
    ['retries it after it was cancelled', [scheduled, cancelled()], retry(), retried(0)],
    ['cannot retry it after it succeeded', done, retry(), 'JOB_NOT_RETRIABLE'],
    ['retries the failed items after it succeeded', done, retry(true), retried(1, true)],
    ['cannot retry it while it runs', [requested, began(1)], retry(), 'JOB_NOT_RETRIABLE'],
    ['cannot retry a cancelled repeating job', [repeats, cancelled()], retry(), 'JOB_NOT_RETRIABLE'],
    ['drops the dead letter', dead, drop, dropped],
    ['cannot drop the dead letter twice', [...dead, dropped], drop, 'DEAD_LETTER_NOT_FOUND'],
    ['cannot drop a job that is not dead', [requested], drop, 'DEAD_LETTER_NOT_FOUND'],
  ])('%s', (_, events, command, outcome) => expect(given(job, ...events).when(command)).toEqual(outcome));

  it('cannot retry failed items when none failed', () => {
    const whole = { ...completed(1), failed: 0 } as JobEvent;
    expect(given(job, requested, began(1), whole).when(retry(true))).toBe('JOB_NOT_RETRIABLE');
  });

  it.each([cancel, retry(), drop])('may be an admin instead, but no other user: $type', (command) => {
    const events = command.type === 'CancelJob' ? [requested] : dead;
    expect(given(job, ...events).when({ ...command, actor: 'user-2' } as JobCommand)).toBe('JOB_NOT_FOUND');
    expect(given(job, ...events).when({ ...command, actor: 'user-2', isAdmin: true } as JobCommand)).toHaveProperty(
      'type',
    );
  });
});

describe('a repeating job', () => {
  it.each<Case>([
    ['occurs at its time', [repeats], occur(first), occurred(second)],
    [
      'occurs at its next time',
      [repeats, occurred(second)],
      occur(second),
      { ...occurred(second), at: second, number: 2 } as JobEvent,
    ],
    ['cannot occur at a time that is not its next', [repeats], occur(second), 'JOB_ENDED'],
    ['cannot occur twice at the same time', [repeats, occurred(second)], occur(first), 'JOB_ENDED'],
    ['cannot occur after it was cancelled', [repeats, cancelled()], occur(first), 'JOB_ENDED'],
    ['cannot occur after its last time', [repeats, occurred(null)], occur(first), 'JOB_ENDED'],
    [
      'occurs after skipped times, which are not counted as occurrences',
      [repeats, { ...occurred(second), occurrenceId: null, number: 0, passedOver: 3 } as JobEvent],
      occur(second),
      { ...occurred(second), at: second } as JobEvent,
    ],
    [
      'occurs at the next time of its changed schedule',
      [repeats, weekly],
      occur(third),
      { ...occurred(second), at: third } as JobEvent,
    ],
    ['cannot occur at a time of its earlier schedule', [repeats, weekly], occur(first), 'JOB_ENDED'],
    ['stays cancelled when its schedule is changed later', [repeats, cancelled(), weekly], occur(third), 'JOB_ENDED'],
    ['occurs only when the job repeats', [requested], occur(first), 'JOB_ENDED'],
  ])('%s', (_, events, command, outcome) => expect(given(job, ...events).when(command)).toEqual(outcome));
});

it('ignores events of other categories', () => {
  expect(given(job, requested, { type: 'AlbumDeleted', albumId: 'album-1', name: 'n', year: 1 }).state).toEqual(
    given(job, requested).state,
  );
});
