import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { LogRecord, Position, StoredRecord, TopicPartition } from '../../src/events/record.ts';
import type { LogEntry } from '../../src/log/entry.ts';
import { AppendError, type EventLog, type RunningSubscription, type Subscription } from '../../src/log/event-log.ts';
import { recordsOf } from '../support/records.ts';
import { Follower } from './follower.ts';

/** A log server for one test file, with ways to reach it and to break it. */
export interface LogUnderTest {
  /** The prefix of every topic and group that the suite creates; no other suite uses it. */
  readonly namespace: string;
  /** Opens one more client of the same log, as another process would. The suite closes it. */
  open(): Promise<EventLog>;
  /**
   * Kills the log's server with -9 and starts it again on the same data; resolves when it accepts connections. Clients
   * opened before may stop working.
   */
  crashServer?(): Promise<void>;
  /** After all tests: stops what `setup` started. */
  close(): Promise<void>;
}

/**
 * What every adapter of the port promises. `setup` runs once, before all tests of the file.
 * `crashes: false` skips the test that needs `crashServer`.
 */
export function eventLogContract(
  name: string,
  setup: () => Promise<LogUnderTest>,
  { crashes = true }: { crashes?: boolean } = {},
): void {
  describe(`${name} as an event log`, () => {
    let server: LogUnderTest;
    let log: EventLog;
    let topics = 0;
    const opened: EventLog[] = [];
    const running: RunningSubscription[] = [];

    beforeAll(async () => {
      server = await setup();
      log = await server.open();
    });
    afterEach(async () => {
      await Promise.all(running.splice(0).map((subscription) => subscription.stop()));
      await Promise.all(opened.splice(0).map((other) => other.close()));
    });
    afterAll(async () => {
      await log.close();
      await server.close();
    });

    const newName = () => `${server.namespace}.topic-${++topics}`;

    async function createTopic(partitions = 1, on = log): Promise<string> {
      const topic = newName();
      await on.createTopics([{ topic, partitions, retentionMs: -1 }]);
      return topic;
    }

    async function openAnother(): Promise<EventLog> {
      const other = await server.open();
      opened.push(other);
      return other;
    }

    async function subscribe(handler: Follower, on: string[], more: Partial<Subscription> = {}) {
      const onCrash = (error: Error) => expect(error).toBeUndefined();
      const subscription = await log.subscribe({ group: newName(), topics: on, handler, onCrash, ...more });
      running.push(subscription);
      return subscription;
    }

    const append = (where: TopicPartition, keys: string[], on = log) =>
      on.append(keys.map((key) => ({ ...where, record: recordOf(key) })));

    describe('topics', () => {
      it('lose their records when they are deleted, and can be created again', async () => {
        const topic = await createTopic(2);
        await append({ topic, partition: 1 }, ['a', 'b']);
        await log.deleteTopics([topic, newName()]);
        expect(await log.describe([topic])).toEqual([]);
        await log.createTopics([{ topic, partitions: 1, retentionMs: -1 }]);
        expect(await log.ends([{ topic, partition: 0 }])).toEqual([{ topic, partition: 0, offset: 0 }]);
        await append({ topic, partition: 0 }, ['c']);
        const [first] = await log.read({ topic, partition: 0, offset: 0 });
        expect(first).toMatchObject({ key: 'c', offset: 0 });
      });

      it('are created with the requested partitions and retention', async () => {
        const topic = newName();
        await log.createTopics([{ topic, partitions: 3, retentionMs: 86_400_000 }]);
        const [found] = await log.describe([topic]);
        expect(found).toMatchObject({ topic, partitions: 3 });
        expect(found!.settings).toMatchObject({
          'cleanup.policy': 'delete',
          'retention.ms': '86400000',
          'retention.bytes': '-1',
        });
      });

      it('are left unchanged when they exist', async () => {
        const [old, added] = [await createTopic(2), newName()];
        await append({ topic: old, partition: 1 }, ['a']);
        await log.createTopics([old, added].map((topic) => ({ topic, partitions: 5, retentionMs: 1000 })));
        const found = await log.describe([old, added]);
        expect(found.map(({ topic, partitions }) => [topic, partitions])).toEqual(
          expect.arrayContaining([[old, 2], [added, 5]]), // prettier-ignore
        );
        expect(found.find(({ topic }) => topic === old)?.settings['retention.ms']).toBe('-1');
        expect(await log.ends([{ topic: old, partition: 1 }])).toEqual([{ topic: old, partition: 1, offset: 1 }]);
      });

      it('can be created by two clients at once', async () => {
        const [other, topic] = [await openAnother(), newName()];
        await Promise.all([log, other].map((each) => each.createTopics([{ topic, partitions: 2, retentionMs: -1 }])));
        await append({ topic, partition: 1 }, ['a'], other);
        expect(await log.describe([topic])).toHaveLength(1);
      });

      it('are missing from the description when they do not exist', async () => {
        const topic = await createTopic();
        const found = await log.describe([newName(), topic]);
        expect(found.map((each) => each.topic)).toEqual([topic]);
        expect(await log.describe([newName()])).toEqual([]);
      });

      it('report how durable an append to them is', async () => {
        const { durable, why } = await log.durability([await createTopic()]);
        expect(typeof durable).toBe('boolean');
        expect(why).not.toBe('');
      });
    });

    describe('append', () => {
      it('keeps the order within a batch and between appends', async () => {
        const topic = await createTopic(2);
        for (const start of [0, 50, 100]) {
          const appends = numbers(50, start).map((n) => ({ topic, partition: n % 2, record: recordOf(`k${n}`) }));
          await log.append(appends);
        }
        expect(keysOf(await log.read({ topic, partition: 0, offset: 0 }))).toEqual(even(150).map((n) => `k${n}`));
        expect(keysOf(await log.read({ topic, partition: 1, offset: 0 }))).toEqual(even(150).map((n) => `k${n + 1}`));
      });

      it('accepts a batch over several topics', async () => {
        const pair = [await createTopic(), await createTopic(2)];
        await log.append(pair.map((topic, partition) => ({ topic, partition, record: recordOf(topic) })));
        for (const [partition, topic] of pair.entries())
          expect(keysOf(await log.read({ topic, partition, offset: 0 }))).toEqual([topic]);
      });

      it('leaves no gap and no interleaved batch when two clients append at once', async () => {
        const [other, topic] = [await openAnother(), await createTopic()];
        const where = { topic, partition: 0 };
        const batches = numbers(40).map((batch) => numbers(10).map((n) => `${batch}-${n}`));
        await Promise.all(batches.map((keys, batch) => append(where, keys, batch % 2 === 0 ? log : other)));
        const records = await readAll(log, { ...where, offset: 0 });
        expect(records.map(({ offset }) => offset)).toEqual(numbers(400));
        const inOrderOfLog = Array.from({ length: 40 }, (_, batch) =>
          keysOf(records.slice(batch * 10, batch * 10 + 10)),
        );
        expect(new Set(inOrderOfLog.map((keys) => keys.join()))).toEqual(new Set(batches.map((keys) => keys.join())));
      });

      it('returns the same bytes', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        const originals: LogRecord[] = [
          { key: 'every-byte', value: Buffer.from(numbers(256)), headers: {} },
          { key: 'песня-曲-🎵', value: Buffer.from('ü'), headers: { имя: 'значение', emoji: '🎵', empty: '' } },
          { key: 'empty', value: Buffer.alloc(0), headers: { constructor: 'a', __proto__x: 'b', z: ' a,b ' } },
          { key: 'long', value: Buffer.alloc(400_000, 'x'), headers: { long: 'y'.repeat(10_000) } },
        ];
        await log.append(originals.map((record) => ({ ...where, record })));
        const found = await readAll(log, { ...where, offset: 0 });
        expect(found.map(({ key, headers }) => ({ key, headers }))).toEqual(
          originals.map(({ key, headers }) => ({ key, headers })),
        );
        expect(found.map(({ value }, n) => value.equals(originals[n]!.value))).toEqual([true, true, true, true]);
        expect(found.every(({ leaderEpoch }) => Number.isInteger(leaderEpoch))).toBe(true);
      });

      it('does nothing for an empty batch', async () => {
        await expect(log.append([])).resolves.toBeUndefined();
      });

      it('rejects with AppendError for a missing topic or partition, and creates none', async () => {
        const [missing, topic] = [newName(), await createTopic(1)];
        await expect(append({ topic: missing, partition: 0 }, ['a'])).rejects.toBeInstanceOf(AppendError);
        await expect(append({ topic, partition: 7 }, ['a'])).rejects.toBeInstanceOf(AppendError);
        expect(await log.describe([missing, topic])).toMatchObject([{ topic, partitions: 1 }]);
      });

      (crashes ? it : it.skip)('that was acknowledged survives a kill -9 of the server', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        await Promise.all(numbers(20).map((n) => append(where, [`k${n}`])));
        if (!server.crashServer) throw new Error('give crashServer, or crashes: false');
        await server.crashServer();
        await log.close();
        log = await server.open();
        const records = await readAll(log, { ...where, offset: 0 });
        expect(records.map(({ offset }) => offset)).toEqual(numbers(20));
        expect(new Set(keysOf(records))).toEqual(new Set(numbers(20).map((n) => `k${n}`)));
        await append(where, ['after']);
        expect(await log.ends([where])).toEqual([{ ...where, offset: 21 }]);
      });
    });

    describe('begins, ends and read', () => {
      it('return the first offset of each partition, which equals the end of an empty one', async () => {
        const topic = await createTopic(2);
        await append({ topic, partition: 1 }, ['a', 'b', 'c']);
        const partitions = [0, 1].map((partition) => ({ topic, partition }));
        expect(await log.begins(partitions)).toEqual(partitions.map((each) => ({ ...each, offset: 0 })));
        await expect(log.begins([{ topic, partition: 9 }])).rejects.toThrow();
      });

      it('return the next offset of each partition', async () => {
        const topic = await createTopic(2);
        await append({ topic, partition: 1 }, ['a', 'b', 'c']);
        const partitions = [0, 1].map((partition) => ({ topic, partition }));
        expect(await log.ends([...partitions].reverse())).toEqual([
          { topic, partition: 1, offset: 3 },
          { topic, partition: 0, offset: 0 },
        ]);
        expect(await log.ends([])).toEqual([]);
      });

      it('read from the middle, and return nothing at the end', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        expect(await log.read({ ...where, offset: 0 })).toEqual([]);
        await append(where, ['a', 'b', 'c']);
        const [b, c] = await log.read({ ...where, offset: 1 });
        expect([b, c]).toMatchObject([
          { ...where, key: 'b', offset: 1 },
          { ...where, key: 'c', offset: 2 },
        ]);
        expect(await log.read({ ...where, offset: 3 })).toEqual([]);
      });

      it('return at least one record, and not much more than the requested bytes', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        for (const key of ['a', 'b', 'c', 'd']) {
          await log.append([{ ...where, record: { key, value: Buffer.alloc(20_000), headers: {} } }]);
        }
        expect(keysOf(await log.read({ ...where, offset: 0 }, { maxBytes: 1 }))).toEqual(['a']);
        const some = await log.read({ ...where, offset: 1 }, { maxBytes: 45_000 });
        expect(keysOf(some).slice(0, 2)).toEqual(['b', 'c']);
        expect(keysOf(await readAll(log, { ...where, offset: 0 }, 1))).toEqual(['a', 'b', 'c', 'd']);
      });
    });

    describe('a subscription', () => {
      it('delivers all records of several topics, including those appended meanwhile', async () => {
        const [one, two] = [await createTopic(), await createTopic(3)];
        await append({ topic: one, partition: 0 }, ['a', 'b']);
        await append({ topic: two, partition: 2 }, ['c']);
        const follower = new Follower();
        const subscription = await subscribe(follower, [one, two]);
        await follower.until(() => follower.records.length === 3);
        expect(new Set(subscription.assigned().map(({ topic, partition }) => `${topic}/${partition}`))).toEqual(
          new Set([`${one}/0`, `${two}/0`, `${two}/1`, `${two}/2`]),
        );
        await append({ topic: two, partition: 0 }, ['d', 'e']);
        await append({ topic: one, partition: 0 }, ['f']);
        await follower.until(() => follower.records.length === 6);
        expect(follower.keys({ topic: one, partition: 0 })).toEqual(['a', 'b', 'f']);
        expect(follower.keys({ topic: two, partition: 0 })).toEqual(['d', 'e']);
      });

      it('has no gap over a long backlog and a busy producer', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        const append500 = () => append(where, numbers(500).map(String));
        for (let n = 0; n < 5; n++) await append500();
        const follower = new Follower();
        await subscribe(follower, [where.topic]);
        for (let n = 0; n < 5; n++) await append500();
        await follower.until(() => follower.records.length >= 5000);
        expect(follower.records.map(({ offset }) => offset)).toEqual(numbers(5000));
      });

      it('begins at the offset that its handler returns, not at the group’s committed offset', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        await append(where, ['a', 'b', 'c', 'd']);
        const [first, second] = [new Follower(), new Follower()];
        const group = newName();
        const subscription = await subscribe(first, [where.topic], { group });
        await first.until(() => first.records.length === 4);
        await subscription.stop();
        second.from.set(`${where.topic}/0`, 2);
        await subscribe(second, [where.topic], { group });
        await second.until(() => second.records.length === 2);
        expect(second.keys()).toEqual(['c', 'd']);
      });

      it('asks for the start offset again when the handler failed to return it', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        await append(where, ['a']);
        const follower = new Follower();
        follower.onAssigned = () => {
          if (follower.joins.length < 3) throw new TypeError('no database');
        };
        await subscribe(follower, [where.topic]);
        await follower.until(() => follower.records.length === 1);
        expect(follower.joins).toEqual([[where], [where], [where]]);
      });

      const errors = [Error, TypeError, RangeError, ReferenceError, SyntaxError];
      it.each(errors.map((Thrown) => [Thrown.name, Thrown] as const))(
        'delivers the same records again after a thrown %s',
        async (_, Thrown) => {
          const where = { topic: await createTopic(), partition: 0 };
          await append(where, ['a', 'b']);
          const follower = new Follower();
          follower.onDeliver = () => {
            if (follower.slices.length < 3) throw new Thrown('on purpose');
            return undefined;
          };
          await subscribe(follower, [where.topic]);
          await follower.until(() => follower.slices.length === 3);
          await append(where, ['c']);
          await follower.until(() => follower.slices.length === 4);
          expect(follower.slices.map(({ records }) => keysOf(records))).toEqual([
            ['a', 'b'],
            ['a', 'b'],
            ['a', 'b'],
            ['c'],
          ]);
        },
      );

      it('seeks back or ahead to the offset that the handler returns', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        await append(where, ['a', 'b', 'c', 'd']);
        const follower = new Follower();
        const answers = [1, 3];
        follower.onDeliver = () => answers.shift();
        await subscribe(follower, [where.topic]);
        await follower.until(() => follower.slices.length === 3);
        expect(follower.slices.map(({ records }) => keysOf(records))).toEqual([
          ['a', 'b', 'c', 'd'],
          ['b', 'c', 'd'],
          ['d'],
        ]);
      });

      it('does not deliver a stopped partition until it is resumed, while others continue', async () => {
        const topic = await createTopic(2);
        const [held, other] = [0, 1].map((partition) => ({ topic, partition })) as [TopicPartition, TopicPartition];
        const follower = new Follower();
        follower.onDeliver = ({ partition }) => (partition === 0 ? 'stopped' : undefined);
        const subscription = await subscribe(follower, [topic]);
        await append(held, ['a', 'b']);
        await follower.until(() => follower.keys(held).length === 2);
        await append(held, ['c']);
        for (const key of ['x', 'y', 'z']) {
          await append(other, [key]);
          await follower.until(() => follower.keys(other).includes(key));
        }
        expect(follower.keys(held)).toEqual(['a', 'b']);
        follower.onDeliver = () => undefined;
        subscription.resume({ ...held, offset: 1 });
        await follower.until(() => follower.keys(held).length === 4);
        expect(follower.keys(held)).toEqual(['a', 'b', 'b', 'c']);
      });

      it('lets the handler send heartbeats', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        await append(where, ['a']);
        const follower = new Follower();
        const beats: string[] = [];
        follower.onDeliver = async (_, { heartbeat }) => {
          for (let n = 0; n < 3; n++) await heartbeat().then(() => beats.push('beat'));
          return undefined;
        };
        await subscribe(follower, [where.topic]);
        await follower.until(() => follower.records.length === 1);
        await running[0]!.stop();
        expect(beats).toEqual(['beat', 'beat', 'beat']);
      });

      it('stops once when stop is called twice, and delivers nothing afterwards', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        const [stopped, control] = [new Follower(), new Follower()];
        const subscription = await subscribe(stopped, [where.topic]);
        await append(where, ['a']);
        await stopped.until(() => stopped.records.length === 1);
        await Promise.all([subscription.stop(), subscription.stop()]);
        await subscription.stop();
        expect(subscription.assigned()).toEqual([]);
        await append(where, ['b']);
        await subscribe(control, [where.topic]);
        await control.until(() => control.records.length === 2);
        expect(stopped.keys()).toEqual(['a']);
      });

      it('fires the signal and waits for the handler when it is stopped during a delivery', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        await append(where, ['a']);
        const follower = new Follower();
        const events: string[] = [];
        follower.onDeliver = async (_, { signal }) => {
          await new Promise((resolve) => {
            signal.addEventListener('abort', resolve);
          });
          events.push('handler ended');
          return undefined;
        };
        const subscription = await subscribe(follower, [where.topic]);
        await follower.until(() => follower.slices.length === 1);
        await subscription.stop().then(() => events.push('stopped'));
        expect(events).toEqual(['handler ended', 'stopped']);
      });

      it('stops when its log is closed', async () => {
        const where = { topic: await createTopic(), partition: 0 };
        await append(where, ['a']);
        const other = await openAnother();
        const follower = new Follower();
        let signal: AbortSignal | undefined;
        follower.onDeliver = (_, context) => {
          signal = context.signal;
          return undefined;
        };
        const onCrash = (error: Error) => expect(error).toBeUndefined();
        await other.subscribe({ group: newName(), topics: [where.topic], handler: follower, onCrash });
        await follower.until(() => follower.records.length === 1);
        await Promise.all([other.close(), other.close()]);
        expect(signal?.aborted).toBe(true);
        await expect(append(where, ['b'], other)).rejects.toBeInstanceOf(AppendError);
        const late = { group: newName(), topics: [where.topic], handler: follower, onCrash };
        await expect(other.subscribe(late)).rejects.toThrow();
      });
    });
  });
}

const recordOf = (key: string): LogRecord => ({ key, value: Buffer.from(`value of ${key}`), headers: { ce_id: key } });
const keysOf = (entries: readonly LogEntry[]) => recordsOf(entries).map(({ key }) => key);
const numbers = (count: number, start = 0) => Array.from({ length: count }, (_, n) => start + n);
const even = (below: number) => numbers(below / 2).map((n) => 2 * n);

async function readAll(log: EventLog, from: Position, maxBytes?: number): Promise<StoredRecord[]> {
  const all: StoredRecord[] = [];
  for (let offset = from.offset; ; offset = all.at(-1)!.offset + 1) {
    const some = await log.read({ ...from, offset }, { maxBytes });
    if (some.length === 0) return all;
    all.push(...recordsOf(some));
  }
}
