import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import kafkajs, { type Admin } from 'kafkajs';
import type { LogRecord, TopicPartition } from '../../src/events/record.ts';
import type { AppendError, EventLog } from '../../src/log/event-log.ts';
import { createClient, type KafkaClient } from '../../src/log/kafka/client.ts';
import { openKafkaLog, type KafkaLogOptions } from '../../src/log/kafka.ts';
import { Follower } from '../contract/follower.ts';
import type { MemberReport } from '../support/kafka-member.ts';
import { describeWithNativeKafka, namespace, startNativeKafka, type NativeKafka } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';
import { recordsOf } from '../support/records.ts';

const prefix = namespace();
let names = 0;
const newName = () => `${prefix}.${++names}`;
const recordOf = (key: string, bytes = 10): LogRecord => ({ key, value: Buffer.alloc(bytes), headers: {} });
const onCrash = (error: Error) => expect(error).toBeUndefined();

describeWithNativeKafka('the Kafka adapter', () => {
  let broker: NativeKafka;
  let stock: KafkaClient;
  const logs: EventLog[] = [];
  const members: ChildProcess[] = [];

  beforeAll(async () => {
    broker = await startNativeKafka();
    stock = createClient({ brokers: broker.brokers, clientId: 'stock', logger: () => undefined });
  });
  afterEach(async () => {
    for (const member of members.splice(0)) member.kill('SIGKILL');
    await broker.thaw();
    await Promise.all(logs.splice(0).map((log) => log.close()));
  });
  afterAll(async () => {
    stock.destroy();
    await broker.stop();
  });

  async function open(more: Partial<KafkaLogOptions> = {}): Promise<EventLog> {
    const log = await openKafkaLog({ brokers: broker.brokers, clientId: 'faults', logger: () => undefined, ...more });
    logs.push(log);
    return log;
  }

  async function openWithTopic(partitions = 1, more: Partial<KafkaLogOptions> = {}) {
    const [log, topic] = [await open(more), newName()];
    await log.createTopics([{ topic, partitions, retentionMs: -1 }]);
    return { log, topic };
  }

  /** An admin client for what the port does not offer: removing records, describing a group. */
  async function asAdmin<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = stock.kafka.admin();
    await admin.connect();
    return use(admin).finally(() => admin.disconnect());
  }

  const append = (log: EventLog, where: TopicPartition, ...keys: string[]) =>
    log.append(keys.map((key) => ({ ...where, record: recordOf(key) })));
  const outcomeOf = (append: Promise<void>) =>
    append.then(
      () => 'acknowledged',
      (error: unknown) => (error as AppendError).outcome,
    );

  it('assigns the partitions to two members, and one takes over when the other is killed -9', async () => {
    const { log, topic } = await openWithTopic(4);
    const group = newName();
    const start = () => startMember(broker.brokers, group, topic);
    const [first, second] = [start(), start()];
    members.push(first.process, second.process);
    await until(
      () => Promise.resolve(first.report().partitions.length === 2 && second.report().partitions.length === 2),
      30_000,
      () => `no split: ${first.output()}${second.output()}`,
    );
    expect([...first.report().partitions, ...second.report().partitions].sort()).toEqual([0, 1, 2, 3]);

    first.process.kill('SIGKILL');
    for (const partition of [0, 1, 2, 3]) await append(log, { topic, partition }, `k${partition}`);
    await until(
      () => Promise.resolve(new Set(second.report().keys).size === 4),
      30_000,
      () => `no take-over: ${second.output()}`,
    );
    expect(second.report().partitions).toHaveLength(4);
    expect(first.output() + second.output()).not.toContain('TimeoutNegativeWarning');
  });

  it('passes the actual position to the handler when the log ends before the requested offset', async () => {
    const { log, topic } = await openWithTopic();
    await append(log, { topic, partition: 0 }, 'a', 'b');
    const follower = new Follower();
    follower.from.set(`${topic}/0`, 10);
    follower.onDeliver = () => 'stopped';
    await log.subscribe({ group: newName(), topics: [topic], handler: follower, onCrash });
    await follower.until(() => follower.slices.length === 1);
    expect(follower.slices[0]!.records.map(({ offset }) => offset)).toEqual([0, 1]);
  });

  it('passes the actual position to the handler when the log begins after the requested offset', async () => {
    const { log, topic } = await openWithTopic();
    await append(log, { topic, partition: 0 }, 'a', 'b', 'c');
    await deleteRecords(topic, 2);
    const follower = new Follower();
    follower.onDeliver = () => (follower.slices.length < 3 ? 0 : 'stopped');
    await log.subscribe({ group: newName(), topics: [topic], handler: follower, onCrash });
    await follower.until(() => follower.slices.length === 3);
    expect(follower.keys()).toEqual(['c', 'c', 'c']);
    expect(follower.joins).toHaveLength(1);
  });

  it('rejects a read outside the log, and reports the log’s bounds', async () => {
    const { log, topic } = await openWithTopic();
    await append(log, { topic, partition: 0 }, 'a', 'b', 'c');
    await deleteRecords(topic, 1);
    const read = (offset: number) => log.read({ topic, partition: 0, offset });
    await expect(read(4)).rejects.toThrow(`${topic}/0@4 is not in the log, which begins at 1 and ends at 3`);
    await expect(read(0)).rejects.toThrow('begins at 1');
    expect(await read(3)).toEqual([]);
    await expect(log.read({ topic, partition: 9, offset: 0 })).rejects.toThrow('has no partition 9');
  });

  const deleteRecords = (topic: string, below: number) =>
    asAdmin(async (admin) => {
      await admin.fetchTopicOffsets(topic); // kafkajs deletes records only of topics in its metadata
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(below) }] });
    });

  it('reports a record that is too large as rejected, unless another part of the batch may be written', async () => {
    const { log, topic } = await openWithTopic(2);
    const large = { topic, partition: 0, record: recordOf('large', 1_100_000) };
    const small = { topic, partition: 1, record: recordOf('small') };
    expect(await outcomeOf(log.append([large, large]))).toBe('refused');
    expect(await outcomeOf(log.append([large, small]))).toBe('unknown');
    expect(await log.ends([large, small])).toMatchObject([{ offset: 0 }, { offset: 1 }]);
  });

  it('reports an unknown outcome for an append to a frozen broker, and closes anyway', async () => {
    const { log, topic } = await openWithTopic(1, { requestTimeoutMs: 1_000 });
    const follower = new Follower();
    await append(log, { topic, partition: 0 }, 'before');
    await log.subscribe({ group: newName(), topics: [topic], handler: follower, onCrash });
    await follower.until(() => follower.records.length === 1);
    await broker.freeze();
    expect(await outcomeOf(append(log, { topic, partition: 0 }, 'frozen'))).toBe('unknown');
    await expect(log.ends([{ topic, partition: 0 }])).rejects.toThrow();
    await log.close();

    await broker.thaw();
    const again = await open();
    await append(again, { topic, partition: 0 }, 'after');
    const [first, ...rest] = recordsOf(await again.read({ topic, partition: 0, offset: 0 })).map(({ key }) => key);
    expect([first, rest.at(-1)]).toEqual(['before', 'after']);
  });

  it('resumes appending and delivering by itself when the broker was frozen or killed', async () => {
    const { log, topic } = await openWithTopic(2, { requestTimeoutMs: 1_000, sessionTimeoutMs: 2_000 });
    const follower = new Follower();
    const keys = () => new Set(follower.keys());
    await log.subscribe({ group: newName(), topics: [topic], handler: follower, onCrash });
    const insist = (key: string) =>
      until(
        async () => (await outcomeOf(append(log, { topic, partition: 1 }, key))) === 'acknowledged',
        30_000,
        () => `${key} was never acknowledged`,
      );
    await insist('before');
    await follower.until(() => keys().has('before'));

    await broker.freeze();
    expect(await outcomeOf(append(log, { topic, partition: 1 }, 'frozen'))).toBe('unknown');
    await broker.thaw();
    await insist('thawed');
    await follower.until(() => keys().has('thawed'), 30_000);

    await broker.kill();
    await broker.restart();
    await insist('restarted');
    await follower.until(() => keys().has('restarted'), 30_000);
    expect(recordsOf(await log.read({ topic, partition: 1, offset: 0 })).at(-1)!.key).toBe('restarted');
  });

  it('reads records of other producers: compressed, without key or value, with a duplicate header', async () => {
    const { log, topic } = await openWithTopic();
    const producer = stock.kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    const compression = kafkajs.CompressionTypes.GZIP;
    await producer.send({ topic, compression, messages: [1, 2].map((n) => ({ key: 'gzip', value: `gzip ${n}` })) });
    const headers = { twice: ['a', 'b'], constructor: 'c' };
    await producer.send({ topic, messages: [{ key: null, value: null, headers }] });
    await producer.disconnect();
    const shown = (records: readonly LogRecord[]) => records.map(({ key, value }) => `${key}: ${value.toString()}`);
    const expected = ['gzip: gzip 1', 'gzip: gzip 2', ': '];
    const follower = new Follower();
    await log.subscribe({ group: newName(), topics: [topic], handler: follower, onCrash });
    await follower.until(() => follower.records.length === 3);
    expect(shown(follower.records)).toEqual(expected);
    expect(follower.records[2]!.headers).toEqual({ twice: 'a\0b', constructor: 'c' });
    expect(shown(recordsOf(await log.read({ topic, partition: 0, offset: 1 })))).toEqual(expected.slice(1)); // a batch is always returned whole
  });

  it('reports which topics are flushed', async () => {
    const [flushed, not] = [await openWithTopic(1, { flush: 'on' }), await openWithTopic(1, { flush: 'off' })];
    const { log } = flushed;
    expect(await log.durability([flushed.topic])).toEqual({ durable: true, why: 'every append is flushed to disk' });
    expect(await log.durability([flushed.topic, not.topic])).toMatchObject({ durable: false });
    expect(await log.durability([flushed.topic, newName()])).toMatchObject({ durable: false });
    expect(await log.durability([])).toMatchObject({ durable: false });
  });

  it('leaves the group when it stops, and commits its offsets to Kafka for people and their tools', async () => {
    const { log, topic } = await openWithTopic();
    const [follower, group] = [new Follower(), newName()];
    await append(log, { topic, partition: 0 }, 'a', 'b');
    const subscription = await log.subscribe({ group, topics: [topic], handler: follower, onCrash });
    await follower.until(() => follower.records.length === 2);
    await subscription.stop();
    const [committed] = await asAdmin((admin) => admin.fetchOffsets({ groupId: group, topics: [topic] }));
    expect(committed!.partitions).toMatchObject([{ partition: 0, offset: '2' }]);
    const { groups } = await asAdmin((admin) => admin.describeGroups([group]));
    expect(groups).toMatchObject([{ groupId: group, members: [] }]);
  });

  it('does not open without a reachable broker', async () => {
    await expect(open({ brokers: ['127.0.0.1:1'] })).rejects.toThrow('Kafka at 127.0.0.1:1 refused');
  });
});

function startMember(brokers: string[], group: string, topic: string) {
  const program = join(import.meta.dirname, '..', 'support', 'kafka-member.ts');
  const member = fork(program, [brokers.join(), group, topic], { silent: true, execArgv: [] });
  let [last, output]: [MemberReport, string] = [{ partitions: [], keys: [] }, ''];
  member.on('message', (report) => (last = report as MemberReport));
  for (const stream of [member.stdout, member.stderr])
    stream?.on('data', (text: Buffer) => (output += text.toString()));
  return { process: member, report: () => last, output: () => output };
}
