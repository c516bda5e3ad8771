import { describe, expect, it } from '@jest/globals';
import { type Append, AppendError } from '../log/event-log.ts';
import { createAppender } from './appender.ts';

/** A log whose requests stay open until the test settles them. */
function slowLog() {
  const requests: { keys: string[]; answer: PromiseWithResolvers<void> }[] = [];
  const append = (batch: readonly Append[]) => {
    const answer = Promise.withResolvers<void>();
    requests.push({ keys: batch.map(({ record }) => record.key), answer });
    return answer.promise;
  };
  return { append, requests, keys: () => requests.map(({ keys }) => keys) };
}
const record = (key: string, { partition = 0, bytes = 10 } = {}): Append => ({
  topic: 't',
  partition,
  record: { key, value: Buffer.alloc(bytes), headers: { ce_id: key } },
});
const turn = () => new Promise((resolve) => setImmediate(resolve));
const limits = { inFlight: 2, records: 3, partitionBytes: 1_000 };

describe('the appender', () => {
  it('sends immediately while requests are free, and sends what queues meanwhile in one request', async () => {
    const log = slowLog();
    const { append } = createAppender(log, limits);
    const all = ['a', 'b', 'c', 'd', 'e'].map((key) => append(record(key)));
    expect(log.keys()).toEqual([['a'], ['b']]);
    log.requests[0]!.answer.resolve();
    await turn();
    expect(log.keys()).toEqual([['a'], ['b'], ['c', 'd', 'e']]);
    for (const { answer } of log.requests) answer.resolve();
    await Promise.all(all);
  });

  it('sends at most the allowed number of records in a request', async () => {
    const log = slowLog();
    const { append } = createAppender(log, { ...limits, inFlight: 1 });
    const all = ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => append(record(key)));
    for (let index = 0; index < 3; index++) {
      log.requests[index]!.answer.resolve();
      await turn();
    }
    expect(log.keys()).toEqual([['a'], ['b', 'c', 'd'], ['e', 'f']]);
    await Promise.all(all);
  });

  it('sends at most the allowed bytes of a partition in a request, and keeps the order of each partition', async () => {
    const log = slowLog();
    const { append } = createAppender(log, { inFlight: 1, records: 10, partitionBytes: 1_000 });
    void append(record('first'));
    const queued = [
      record('a1', { bytes: 600 }),
      record('a2', { bytes: 600 }),
      record('a3'),
      record('b1', { partition: 1, bytes: 600 }),
    ];
    const all = queued.map(append);
    log.requests[0]!.answer.resolve();
    await turn();
    expect(log.keys().at(-1)).toEqual(['a1', 'b1']);
    log.requests[1]!.answer.resolve();
    await turn();
    expect(log.keys().at(-1)).toEqual(['a2', 'a3']);
    log.requests[2]!.answer.resolve();
    await Promise.all(all);
  });

  it('rejects a record that is too large for any request', async () => {
    const log = slowLog();
    const { append } = createAppender(log, limits);
    await expect(append(record('a', { bytes: 1_000 }))).rejects.toMatchObject({
      kind: 'too-large',
      code: 'EVENT_TOO_LARGE',
    });
    expect(log.keys()).toEqual([]);
  });

  it('rejects exactly the records of a failed request, and goes on', async () => {
    const log = slowLog();
    const { append } = createAppender(log, { ...limits, inFlight: 1 });
    const [a, b, c] = ['a', 'b', 'c'].map((key) => append(record(key)));
    log.requests[0]!.answer.resolve();
    await a;
    await turn();
    const failure = new AppendError('unknown', 'no answer');
    log.requests[1]!.answer.reject(failure);
    await expect(b).rejects.toBe(failure);
    await expect(c).rejects.toBe(failure);
    const d = append(record('d'));
    log.requests[2]!.answer.resolve();
    await d;
  });
});
