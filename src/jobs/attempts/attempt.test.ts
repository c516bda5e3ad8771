import { describe, expect, it } from '@jest/globals';
import { queuedJob } from '../../../test/support/jobs.ts';
import type { CommandRequest } from '../../commands/command.ts';
import type { JobCommand, JobContext } from '../../commands/job.ts';
import { AppError, unavailable } from '../../errors.ts';
import { attemptEvents, chain, type Ending, type Middleware } from './attempt.ts';

type Request = CommandRequest<JobCommand, JobContext | undefined>;

/** A write side that meets one given fault after the other. */
function handMade(...answers: ('ok' | Error)[]) {
  const requests: Request[] = [];
  const commands = {
    async job(request: Request) {
      requests.push(request);
      const answer = answers.shift() ?? 'ok';
      await Promise.resolve();
      if (answer !== 'ok') throw answer;
      const [version = 0] = request.expectedVersion as readonly number[];
      return { recordId: 'r', version: version + 1, replayed: false };
    },
  };
  const control = new AbortController();
  const job = queuedJob({ version: 4 });
  return { requests, control, job, events: attemptEvents(commands, job, control.signal) };
}

const start: JobCommand = { type: 'StartAttempt', worker: 'w' };
const complete: JobCommand = { type: 'Complete', attempt: 1, done: 1, total: 1, failed: 0, file: null, result: '{}' };
const outage = unavailable('OUTCOME_UNKNOWN', 'who knows');

describe('the events of an attempt', () => {
  it('have new ids each time that a job is taken, so that a finished job is not begun again as a repetition', async () => {
    const [one, again] = [handMade(), handMade()];
    await Promise.all([one, again].map(({ events }) => events.append(start)));
    expect(one.requests[0]?.origin.commandId).not.toBe(again.requests[0]?.origin.commandId);
  });

  it('follow one another when they are sent at the same time, each decided on the one before', async () => {
    const { events, requests, job } = handMade();
    await Promise.all([events.append(start), events.append(complete)]);
    expect(requests.map(({ expectedVersion, command }) => [expectedVersion, command])).toEqual([[[4], start], [[5], complete]]); // prettier-ignore
    expect(new Set(requests.map(({ origin }) => origin.commandId)).size).toBe(2);
    expect(requests.every(({ stream, origin }) => stream === job.jobId && origin.actor === 'system')).toBe(true);
    expect(events.version).toBe(6);
  });

  it.each([
    ['the outcome is unknown', outage],
    ['the connection broke', new Error('Connection terminated unexpectedly')],
  ])('are sent again under the same id while %s', async (_, fault) => {
    const { events, requests } = handMade(fault, fault);
    await events.append(start);
    expect(requests).toHaveLength(3);
    expect(new Set(requests.map(({ origin }) => origin.commandId)).size).toBe(1);
    expect(requests.map(({ origin }) => origin.repeatable)).toEqual([false, true, true]);
    expect(events.version).toBe(5);
  });

  it('are refused when another worker’s event came first, as are later ones', async () => {
    const stale = new AppError('stale', 'PRECONDITION_FAILED', 'It was changed since.');
    const { events, requests } = handMade(stale, stale);
    await expect(events.append(start)).rejects.toBe(stale);
    await expect(events.append(complete)).rejects.toBe(stale);
    expect(requests.map(({ expectedVersion }) => expectedVersion)).toEqual([[4], [4]]);
    expect(events.version).toBe(4);
  });

  it.each(['STREAM_QUARANTINED', 'PROJECTION_STOPPED'])('are not sent again after %s', async (code) => {
    const { events, requests } = handMade(unavailable(code, 'until an operator has looked at it'));
    await expect(events.append(start)).rejects.toMatchObject({ code });
    expect(requests).toHaveLength(1);
  });

  it('are sent again until the database is back', async () => {
    const { events, control } = handMade(...Array.from({ length: 3 }, () => outage));
    const appended = events.append(start);
    control.abort('database away');
    await appended;
    expect(events.version).toBe(5);
  });

  it('are not sent again once the attempt is interrupted', async () => {
    const { events, requests, control } = handMade(...Array.from({ length: 50 }, () => outage));
    const appended = events.append(start);
    control.abort('process stops');
    await expect(appended).rejects.toBe(outage);
    expect(requests.length).toBeLessThanOrEqual(2);
  });
});

it('the first middleware is the outermost', async () => {
  const order: string[] = [];
  const named =
    (name: string): Middleware =>
    (next) =>
    async (attempt) => {
      order.push(`${name} begins`);
      const ending = await next(attempt);
      order.push(`${name} ends`);
      return ending;
    };
  const lost: Ending = { kind: 'lost' };
  expect(await chain([named('a'), named('b')], () => Promise.resolve(lost))({} as never)).toBe(lost);
  expect(order).toEqual(['a begins', 'b begins', 'b ends', 'a ends']);
});
