import { setTimeout as delay } from 'node:timers/promises';
import type { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import { encodeEvent, subjectOf } from '../../../events/codec.ts';
import { repeatOf, requestOf } from '../../../../test/support/jobs.ts';
import type { JobEvent } from '../../../events/jobs.ts';
import { createJobWatcher, type JobWatcherOptions } from './job-watcher.ts';

const jobId = 'job-1';
const request = requestOf({ total: 2 });
const requested: JobEvent = { type: 'JobRequested', jobId, request };
const begun = (attempt = 1): JobEvent => ({
  type: 'JobAttemptStarted',
  jobId,
  attempt,
  counted: 0,
  takesOver: false,
  worker: 'w',
});
const progressed = (done: number): JobEvent => ({
  type: 'JobProgressed',
  jobId,
  attempt: 1,
  done,
  total: 2,
  failed: 0,
});
const completed: JobEvent = {
  type: 'JobCompleted',
  jobId,
  attempt: 1,
  done: 2,
  total: 2,
  failed: 0,
  file: null,
  result: '{}',
};
const died: JobEvent = { type: 'JobDied', jobId, attempt: 1, code: 'DUMMY', error: 'told to' };

const stops: (() => void)[] = [];
afterEach(() => stops.splice(0).forEach((stop) => stop()));

/** A watcher over streams in memory. It polls at once after a notice, and otherwise only as often as the test configures. */
function start(options: Partial<JobWatcherOptions> = {}) {
  const streams = new Map<string, JobEvent[]>();
  const asked: string[][] = [];
  let notify = (): void => undefined;
  const subscribe = (listener: () => void) => {
    notify = listener;
    return () => void (notify = () => undefined);
  };
  const query = ({ values = [] }: { values?: unknown[] }) => {
    const [names, versions] = values as [string[], number[]];
    asked.push(names);
    return Promise.resolve(
      names.flatMap((stream, index) => rowsOf(stream, streams.get(stream) ?? [], versions[index]!)),
    );
  };
  const database = { query } as unknown as JobWatcherOptions['database'];
  const watcher = createJobWatcher({ database, subscribe, pollEveryMs: 60_000, restMs: 1, ...options });
  stops.push(() => watcher.stop());
  const happens = (stream: string, ...events: JobEvent[]) => {
    streams.set(stream, [...(streams.get(stream) ?? []), ...events]);
    notify();
  };
  return { watcher, asked, happens };
}

const rowsOf = (stream: string, events: JobEvent[], after: number) =>
  events
    .map((event, index) => ({ stream, version: index + 1, type: subjectOf(event.type), value: encodeEvent(event) }))
    .filter(({ version }) => version > after)
    .slice(0, 200);

/** Reads like a client, and collects the events received so far. */
function reader(stream: Readable) {
  let text = '';
  stream.on('data', (data: Buffer) => (text += data.toString()));
  const ended = new Promise<string>((resolve) => stream.once('close', () => resolve(text)));
  const received = () =>
    [...text.matchAll(/^id: (\d+)\nevent: state\ndata: (.+)\n\n/gm)].map(([, id, data = '']) => ({
      id: Number(id),
      ...(JSON.parse(data) as object),
    }));
  const until = async (id: number) => {
    while (received().at(-1)?.id !== id) await delay(1);
    return received();
  };
  return { ended, received, until, text: () => text };
}

const idsOf = (events: { id: number }[]) => events.map(({ id }) => id);

describe('a job that is followed', () => {
  it('sends state, progress and attempt after each event, and ends when the job is over', async () => {
    const { watcher, happens } = start();
    happens('job-1', requested, begun());
    const client = reader(watcher.watch('job-1', 0));
    await client.until(2);
    happens('job-1', progressed(1), completed);
    await client.ended;
    const progress = (done: number) => ({ done, total: 2, failed: 0 });
    expect(client.received()).toEqual([
      { id: 1, state: 'queued', progress: progress(0), attempt: 0 },
      { id: 2, state: 'running', progress: progress(0), attempt: 1 },
      { id: 3, state: 'running', progress: progress(1), attempt: 1 },
      { id: 4, state: 'succeeded', progress: progress(2), attempt: 1 },
    ]);
  });

  it('continues after the event that the client has, with the state folded from all events before', async () => {
    const { watcher, happens } = start();
    happens('job-1', requested, begun(), progressed(1), died);
    const client = reader(watcher.watch('job-1', 3));
    await client.ended;
    const error = { code: 'DUMMY', message: 'told to' };
    expect(client.received()).toEqual([
      { id: 4, state: 'dead', progress: { done: 1, total: 2, failed: 0 }, attempt: 1, error },
    ]);
  });

  it('does not end at an earlier end of a job that was retried', async () => {
    const { watcher, happens } = start();
    happens('job-1', requested, begun(), died, { type: 'JobRetried', jobId, request, attempt: 1, failedOnly: false });
    const client = reader(watcher.watch('job-1', 0));
    expect(idsOf(await client.until(4))).toEqual([1, 2, 3, 4]);
    happens('job-1', begun(2));
    expect((await client.until(5)).at(-1)).toMatchObject({ state: 'running', attempt: 2 });
  });

  it('sends a long history completely', async () => {
    const { watcher, happens } = start();
    happens('job-1', requested, begun(), ...Array.from({ length: 1_000 }, () => progressed(1)), completed);
    const client = reader(watcher.watch('job-1', 0));
    await client.ended;
    expect(idsOf(client.received())).toEqual(Array.from({ length: 1_003 }, (_, index) => index + 1));
  });

  it('does not end in the middle of its history', async () => {
    const { watcher, happens } = start();
    const retried: JobEvent = { type: 'JobRetried', jobId, request, attempt: 1, failedOnly: false };
    happens('job-1', requested, begun(), ...Array.from({ length: 197 }, () => progressed(1)), died, retried);
    const client = reader(watcher.watch('job-1', 0));
    const ended = client.ended.then(() => client.received());
    expect(idsOf(await Promise.race([client.until(201), ended]))).toHaveLength(201);
  });

  it('that repeats sends each occurrence and the next time', async () => {
    const { watcher, happens } = start();
    const repeat = repeatOf('* * * * *', 'UTC', '2030-01-01T00:00:00.000Z');
    const [next, third] = ['2030-01-01T00:01:00.000Z', '2030-01-01T00:02:00.000Z'];
    const occurred = { type: 'JobOccurred', jobId, number: 1, passedOver: 0 } as const;
    happens('job-1', { type: 'JobRequested', jobId, request: { ...request, repeat } });
    happens('job-1', { ...occurred, at: repeat.first, occurrenceId: 'job-2', next });
    happens('job-1', { ...occurred, at: next, occurrenceId: null, passedOver: 1, next: third });
    happens('job-1', { type: 'JobRepeatChanged', jobId, repeat: { ...repeat, first: next } });
    const client = reader(watcher.watch('job-1', 0));
    const about = { progress: { done: 0, total: 2, failed: 0 }, attempt: 0 };
    expect(await client.until(4)).toEqual([
      { id: 1, state: 'scheduled', ...about, nextAt: repeat.first },
      { id: 2, state: 'scheduled', ...about, nextAt: next, occurrence: 'job-2' },
      { id: 3, state: 'scheduled', ...about, nextAt: third },
      { id: 4, state: 'scheduled', ...about, nextAt: next },
    ]);
  });
});

describe('followers', () => {
  it('are served by one query, each from its own position', async () => {
    const { watcher, happens, asked } = start();
    happens('job-1', requested);
    happens('job-2', requested, begun());
    const clients = [0, 0, 1].map((after) => reader(watcher.watch('job-1', after)));
    const other = reader(watcher.watch('job-2', 1));
    await Promise.all([clients[0]!.until(1), clients[1]!.until(1), other.until(2)]);
    asked.splice(0);
    happens('job-1', begun());
    await Promise.all(clients.map((client) => client.until(2)));
    expect(asked.every((names) => names.join() === 'job-1,job-2')).toBe(true);
    expect(asked.length).toBeLessThanOrEqual(2);
    expect(clients.map((client) => idsOf(client.received()))).toEqual([[1, 2], [1, 2], [2]]);
    expect(idsOf(other.received())).toEqual([2]);
  });

  it('no query runs when there are none', async () => {
    const { watcher, happens, asked } = start({ pollEveryMs: 1 });
    const stream = watcher.watch('job-1', 0);
    const client = reader(stream);
    while (asked.length < 2) await delay(1);
    stream.destroy();
    await client.ended;
    const queries = asked.length;
    happens('job-1', requested);
    await delay(20);
    expect(asked.length).toBeLessThanOrEqual(queries + 1); // one may have been under way
  });

  it('get events without a commit notice, too', async () => {
    const { watcher, happens } = start({ pollEveryMs: 5, subscribe: () => () => undefined });
    const client = reader(watcher.watch('job-1', 0));
    happens('job-1', requested, completed);
    await client.ended;
    expect(idsOf(client.received())).toEqual([1, 2]);
  });

  it('get a heartbeat while nothing happens', async () => {
    const client = reader(start({ heartbeatMs: 2 }).watcher.watch('job-1', 0));
    while (!client.text().endsWith(':\n\n:\n\n')) await delay(1);
    expect(client.text()).toMatch(/^retry: 2000\n\n(?::\n\n)+$/);
  });
});

describe('a follower', () => {
  it('that does not read is disconnected, and delays no other', async () => {
    const { watcher, happens } = start({ queueBytes: 2_000 });
    const idle = watcher.watch('job-1', 0);
    const cut = new Promise<Error>((resolve) => idle.once('error', resolve));
    const client = reader(watcher.watch('job-1', 0));
    happens('job-1', requested, begun());
    for (let done = 0; done < 30; done++) {
      happens('job-1', progressed(done));
      await client.until(done + 3);
    }
    expect((await cut).message).toContain('too slowly');
    expect(idsOf(client.received())).toHaveLength(32);
  });

  it('is ended when the server stops, and so is a later one', async () => {
    const { watcher, happens } = start();
    happens('job-1', requested);
    const client = reader(watcher.watch('job-1', 0));
    await client.until(1);
    watcher.stop();
    expect(await client.ended).toContain('id: 1');
    expect(await reader(watcher.watch('job-1', 0)).ended).toBe('');
  });

  it('waits while the database does not answer', async () => {
    let broken = true;
    const row = rowsOf('job-1', [requested, completed], 0);
    let asked = 0;
    const query = () => {
      asked++;
      return broken ? Promise.reject(new Error('no database')) : Promise.resolve(row);
    };
    const database = { query } as unknown as JobWatcherOptions['database'];
    const { watcher } = start({ database, pollEveryMs: 2 });
    const client = reader(watcher.watch('job-1', 0));
    while (asked < 3) await delay(1);
    expect(client.received()).toEqual([]);
    broken = false;
    await client.ended;
    expect(idsOf(client.received())).toEqual([1, 2]);
  });

  it('of a stream that cannot be decoded is disconnected, and no other', async () => {
    const good = rowsOf('job-1', [requested, completed], 0);
    const bad = { stream: 'job-2', version: 1, type: 'openmusic.JobRequested', value: Buffer.from('x') };
    const database = { query: () => Promise.resolve([...good, bad]) } as unknown as JobWatcherOptions['database'];
    const { watcher } = start({ database });
    const stream = watcher.watch('job-2', 0);
    const cut = new Promise<Error>((resolve) => stream.once('error', resolve));
    const client = reader(watcher.watch('job-1', 0));
    await client.ended;
    expect((await cut).message).toContain('Confluent');
    expect(idsOf(client.received())).toEqual([1, 2]);
  });
});
