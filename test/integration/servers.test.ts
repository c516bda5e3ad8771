import { randomUUID } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import {
  createDatabase,
  describeWithKafka,
  describeWithNativeKafka,
  describeWithNativeRedis,
  describeWithRedis,
  namespace,
  servers,
  type NativeKafka,
  type NativePostgres,
  type NativeRedis,
  startNativeKafka,
  startNativePostgres,
  startNativeRedis,
} from '../support/servers/index.ts';
import { freePort } from '../support/ports.ts';
import { kafkaAnswers } from '../support/servers/probes.ts';

const clientOf = (brokers: string[], retries = 12) =>
  new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { retries, initialRetryTime: 50, maxRetryTime: 1_000 } });

async function createTopic(brokers: string[], topic: string): Promise<void> {
  const admin = clientOf(brokers).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true });
  await admin.disconnect();
}

async function produce(brokers: string[], topic: string, value: string, retries?: number): Promise<void> {
  const producer = clientOf(brokers, retries).producer({ allowAutoTopicCreation: false });
  await producer.connect();
  await producer.send({ topic, messages: [{ value }], acks: -1 }).finally(() => producer.disconnect());
}

async function read(brokers: string[], topic: string, count: number): Promise<string[]> {
  const consumer = clientOf(brokers).consumer({ groupId: `${topic}-${randomUUID()}`, maxWaitTimeInMs: 100 });
  const values: string[] = [];
  const all = Promise.withResolvers<true>();
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: ({ message }) => {
      values.push(String(message.value));
      if (values.length === count) all.resolve(true);
      return Promise.resolve();
    },
  });
  await all.promise;
  await consumer.disconnect();
  return values;
}

const selectOne = async (connection: pg.ClientConfig) => {
  const client = new pg.Client({ ...connection, query_timeout: 500 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<{ one: number }>('SELECT 1 AS one')).rows[0]?.one;
  } finally {
    await client.end().catch(() => undefined);
  }
};

describe('the servers', () => {
  it('are found in the requested way', () => {
    const { TEST_SERVERS: forced } = process.env;
    const ways = forced ? [forced] : ['env', 'docker', 'native'];
    expect([...ways, 'none']).toEqual(expect.arrayContaining(Object.values(servers().how)));
  });
});

describe('a free port', () => {
  it('is given to one process only', async () => {
    const other = createSocket('udp4');
    const listening = once(other.bind(await freePort(), '127.0.0.1'), 'listening');
    await expect(listening).rejects.toMatchObject({ code: 'EADDRINUSE' });
    other.close();
  });
});

describe('a database of the test file', () => {
  it('is isolated, in UTF-8, and compares letters beyond ASCII', async () => {
    const [first, second] = await Promise.all([createDatabase(), createDatabase()]);
    expect(first.connection.database).not.toBe(second.connection.database);
    const client = new pg.Client(first.connection);
    await client.connect();
    const { rows } = await client.query(
      `SELECT 'ÉTÉ' ILIKE 'été' AS folds, current_setting('server_encoding') AS encoding`,
    );
    await client.end();
    expect(rows).toEqual([{ folds: true, encoding: 'UTF8' }]);
    await Promise.all([first.drop(), second.drop()]);
    await expect(selectOne(first.connection)).rejects.toThrow('does not exist');
  });
});

describeWithKafka('the shared broker', ({ brokers }) => {
  it('keeps records and does not create topics by itself', async () => {
    const topic = namespace();
    await expect(produce(brokers, namespace(), 'lost', 1)).rejects.toThrow();
    await createTopic(brokers, topic);
    await produce(brokers, topic, 'kept');
    expect(await read(brokers, topic, 1)).toEqual(['kept']);
  });
});

describeWithRedis('the shared Redis', ({ url }) => {
  it('keeps values', async () => {
    const redis = new Redis(url);
    const key = namespace();
    await redis.set(key, 'kept', 'PX', 5_000);
    expect(await redis.get(key)).toBe('kept');
    redis.disconnect();
  });
});

describeWithNativeKafka('a broker of the test file', () => {
  let kafka: NativeKafka;
  beforeAll(async () => {
    kafka = await startNativeKafka();
  });
  afterAll(() => kafka.stop());

  it('keeps what it acknowledged when it is killed and comes back at the same address', async () => {
    const topic = namespace();
    await createTopic(kafka.brokers, topic);
    await produce(kafka.brokers, topic, 'before');
    const killed = kafka.pid;
    await kafka.kill();
    await kafka.restart();
    expect(kafka.pid).not.toBe(killed);
    await produce(kafka.brokers, topic, 'after');
    expect(await read(kafka.brokers, topic, 2)).toEqual(['before', 'after']);
  });

  it('answers again after it was frozen', async () => {
    const topic = namespace();
    await createTopic(kafka.brokers, topic);
    await kafka.freeze();
    expect(await kafkaAnswers(kafka.brokers[0]!)).toBe(false);
    const waiting = produce(kafka.brokers, topic, 'patient');
    await kafka.thaw();
    await waiting;
    expect(await read(kafka.brokers, topic, 1)).toEqual(['patient']);
  });
});

describeWithNativeRedis('a Redis of the test file', () => {
  let server: NativeRedis;
  let client: Redis;
  beforeAll(async () => {
    server = await startNativeRedis();
    client = new Redis(server.url, { commandTimeout: 300, maxRetriesPerRequest: 0 });
    client.on('error', () => undefined);
  });
  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  it('does not answer while it is frozen, and answers afterwards', async () => {
    expect(await client.ping()).toBe('PONG');
    await server.freeze();
    await expect(client.ping()).rejects.toThrow('timed out');
    await server.thaw();
    expect(await client.ping()).toBe('PONG');
  });

  it('is empty at the same address after it was killed', async () => {
    await client.set('a', '1');
    const killed = server.pid;
    await server.kill();
    await server.restart();
    expect(server.pid).not.toBe(killed);
    const fresh = new Redis(server.url);
    expect(await fresh.get('a')).toBeNull();
    fresh.disconnect();
  });
});

describe('a Postgres of the test file', () => {
  let server: NativePostgres;
  beforeAll(async () => {
    server = await startNativePostgres();
  });
  afterAll(() => server.stop());

  it('does not answer while it is frozen, on the connections it had', async () => {
    const client = new pg.Client({ ...server.connection, query_timeout: 300 });
    await client.connect();
    await server.freeze();
    await expect(client.query('SELECT 1')).rejects.toThrow('timeout');
    await server.thaw();
    await client.end();
    expect(await selectOne(server.connection)).toBe(1);
  });

  it('has its data at the same address after it was killed', async () => {
    const client = new pg.Client(server.connection);
    client.on('error', () => undefined);
    await client.connect();
    await client.query('CREATE TABLE kept (id int)');
    await client.query('INSERT INTO kept VALUES (1)');
    await server.kill();
    await client.end().catch(() => undefined);
    await server.restart();
    const again = new pg.Client(server.connection);
    await again.connect();
    expect((await again.query('SELECT id FROM kept')).rowCount).toBe(1);
    await again.end();
  });
});
