import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { Producer, Transaction } from 'kafkajs';
import type { LogRecord } from '../../src/events/record.ts';
import { createClient, type KafkaClient } from '../../src/log/kafka/client.ts';
import { claim, type Core, kafkaSource, openCore } from '../support/core.ts';
import { askEveryJudge, verify } from '../support/judges.ts';
import { createDatabase, describeWithKafka, type TestDatabase } from '../support/servers/index.ts';

const MARKER = "a transaction's marker";

describeWithKafka('a transaction of a stranger', ({ brokers }) => {
  let database: TestDatabase;
  let core: Core;
  let client: KafkaClient;
  let producer: Producer;

  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    core = await openCore({ connection: database.connection, source: kafkaSource(brokers) });
    client = createClient({ brokers, clientId: 'stranger', logger: () => undefined });
    producer = client.kafka.producer({
      transactionalId: core.namespace,
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: () => () => 0,
    });
    await producer.connect();
  });
  afterEach(async () => {
    await producer.disconnect();
    client.destroy();
    await core.close();
  });

  /** Sends to the catalog, and to the jobs, which the queue judges too. */
  async function begin(...records: readonly LogRecord[]): Promise<Transaction> {
    const transaction = await producer.transaction();
    const messages = records.map((record) => ({ ...record }));
    await transaction.send({ topic: core.catalog(0).topic, messages });
    await transaction.send({ topic: `${core.namespace}.jobs`, messages: [{ key: 'foreign', value: 'v' }] });
    return transaction;
  }

  const markers = async () =>
    (await verify(core)).partitions.reduce((sum, { losers }) => sum + (losers[MARKER] ?? 0), 0);

  it.each(['commit', 'abort'] as const)('leaves a marker that every judge skips: %s', async (end) => {
    const [before, within, after] = [0, 1, 2].map(() => claim({ stream: core.streamIn(0) }));
    await core.append(core.catalog(0), before!);
    const transaction = await begin(within!);
    await transaction[end]();
    await core.append(core.catalog(0), after!);
    await askEveryJudge(core);
    const ids = (await core.rows<{ record_id: string }>('stream_events')).map(({ record_id }) => record_id);
    expect(ids).toEqual(expect.arrayContaining([before!.id, within!.id, after!.id]));
    expect(await markers()).toBe(2);
    expect(core.projectorReports.lost.filter(({ reason }) => reason === MARKER).some(({ alarm }) => alarm)).toBe(false);
  });

  it('leaves a marker at the very end of the log: every judge reaches the end, also after a restart', async () => {
    for (const end of ['commit', 'abort', 'commit'] as const) {
      const transaction = await begin(claim({ stream: core.streamIn(0) }));
      await transaction[end]();
    }
    await askEveryJudge(core);
    await core.append(core.catalog(0), claim({ stream: core.streamIn(0) }));
    await askEveryJudge(core);
    expect(await markers()).toBe(6);
  });

  it('that is open delays nothing: its records and later ones of others are judged', async () => {
    const [within, behind] = [0, 1].map(() => claim({ stream: core.streamIn(0) }));
    const transaction = await begin(within!);
    const api = await core.openApi();
    await core.append(core.catalog(0), behind!);
    expect(await api.changeAlbum(behind!.key, 'behind it')).toMatchObject({ version: 2 });
    await askEveryJudge(core);
    const { partitions } = await verify(core);
    expect(partitions.find(({ topic, partition }) => topic === core.catalog(0).topic && partition === 0)?.end).toBe(4);
    await transaction.abort();
    await askEveryJudge(core);
  });
});
