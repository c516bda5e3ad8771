import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Kafka, logLevel } from 'kafkajs';
import { createPlacement } from '../../src/events/placement.ts';
import { openLogUnder } from '../../src/log/embedded.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { genesisRecord } from '../../src/log/genesis.ts';
import { readIdentity } from '../../src/log/identity.ts';
import { initLog } from '../../src/log/init.ts';
import { openKafkaLog } from '../../src/log/kafka.ts';
import { checkLog, LogRefused, topicsOf } from '../../src/log/topics.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { type Database, openDatabase } from '../../src/postgres/pool.ts';
import { createDatabase, describeWithKafka, namespace, type TestDatabase } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';

/** The differences between the two adapters in these tests. */
interface Adapter {
  open(connection: PostgresConnection, namespace: string): Promise<EventLog>;
  deleteTopic(topic: string, database: Database): Promise<void>;
}

interface World {
  readonly log: EventLog;
  readonly database: Database;
  readonly topic: string;
  readonly options: Parameters<typeof initLog>[0];
}

const PARTITIONS = 2;
const silent = () => undefined;

function initSuite(adapter: Adapter, more: (newWorld: () => Promise<World>) => void = silent): void {
  let postgres: TestDatabase;
  const closing: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    postgres = await createDatabase();
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  afterAll(() => postgres.drop());

  async function newDatabase(): Promise<Database & { name: string }> {
    const { connection } = postgres;
    const name = namespace();
    await migrate({ connection, namespace: name });
    const database = openDatabase(connection, { name: 'test', max: 4, searchPath: [name] });
    closing.push(() => database.stop());
    return { ...database, name };
  }

  async function newWorld(): Promise<World> {
    const database = await newDatabase();
    return openWorld(database, database.name);
  }

  async function openWorld(database: Database, name: string): Promise<World> {
    const log = await adapter.open(postgres.connection, name);
    closing.push(() => log.close());
    const placement = createPlacement(name, PARTITIONS);
    return { log, database, topic: `${name}.catalog`, options: { log, placement, database } };
  }

  /**
   * A log that was initialised, and then lost some topics; opened by a new process, because kafkajs fails permanently when
   * a topic vanishes during its use.
   */
  async function newInitialised(deleted: (world: World) => readonly string[]): Promise<World> {
    const world = await newWorld();
    await initLog(world.options);
    for (const topic of deleted(world)) await adapter.deleteTopic(topic, world.database);
    return openWorld(world.database, world.options.placement.namespace);
  }

  describe('init', () => {
    it('creates topics, genesis records and an identity that the guard accepts', async () => {
      const { log, options, database } = await newWorld();
      const { topics, all } = options.placement;
      const refused = await reasons(check(options));
      expect(refused).toHaveLength(11);
      expect(refused.every((reason) => reason.includes('npm run openmusic -- log init'))).toBe(true);
      const identity = await initLog(options);
      await check(options);
      expect(await readIdentity(database)).toEqual(identity);
      expect((await log.ends(all)).map(({ offset }) => offset)).toEqual(all.map(() => 1));
      const name = options.placement.namespace;
      const described = await log.describe([...topics, `${name}.dead-letters`, `${name}.voids`]);
      expect(described).toHaveLength(6);
      const compacted = described.filter(({ settings }) => settings['cleanup.policy'] !== 'delete');
      expect(compacted).toMatchObject([{ topic: `${name}.voids`, settings: { 'cleanup.policy': 'compact' } }]);
    });

    it('does nothing the second time', async () => {
      const { log, options } = await newWorld();
      const identity = await initLog(options);
      expect(await initLog(options)).toEqual(identity);
      expect(new Set((await log.ends(options.placement.all)).map(({ offset }) => offset))).toEqual(new Set([1]));
    });

    it('can run several times at once', async () => {
      const { log, options } = await newWorld();
      const identities = await Promise.all([1, 2, 3].map(() => initLog(options)));
      expect(new Set(identities.map(({ incarnation }) => incarnation)).size).toBe(1);
      expect(new Set((await log.ends(options.placement.all)).map(({ offset }) => offset))).toEqual(new Set([1]));
    });

    it.each(['before', 'after'] as const)('completes the work of one that crashed %s any step', async (when) => {
      const { log, options } = await newWorld();
      const incarnations = new Set<string>();
      let crashes = 0;
      for (; ; crashes++) {
        const done = await initLog({ ...options, log: crashing(log, crashes, when) }).catch(() => undefined);
        const identity = await readIdentity(options.database);
        if (identity) incarnations.add(identity.incarnation);
        if (done) break;
        await expect(check(options)).rejects.toBeInstanceOf(LogRefused);
      }
      expect(crashes).toBeGreaterThan(5);
      expect(incarnations.size).toBe(1);
      await check(options);
    });

    it('adopts a complete log that its database has no record of', async () => {
      const { options } = await newWorld();
      const identity = await initLog(options);
      const database = await newDatabase();
      await expect(reasons(check({ ...options, database }))).resolves.toEqual([
        expect.stringContaining('does not know'),
      ]);
      expect(await initLog({ ...options, database })).toEqual(identity);
      await check({ ...options, database });
    });

    it('does not adopt a log with a missing topic', async () => {
      const { options, topic } = await newInitialised((world) => [world.topic]);
      const database = await newDatabase();
      await expect(reasons(initLog({ ...options, database }))).resolves.toEqual([expect.stringContaining(topic)]);
      expect(await readIdentity(database)).toBeUndefined();
      expect(await options.log.describe([topic])).toEqual([]);
    });

    it.each(['dead-letters', 'voids'])('recreates the topic of %s, which holds only derived data', async (name) => {
      const { options } = await newInitialised(({ options }) => [`${options.placement.namespace}.${name}`]);
      expect(await reasons(check(options))).toEqual([expect.stringContaining('log init')]);
      await initLog(options);
      await check(options);
    });

    it('changes nothing when a topic has another number of partitions', async () => {
      const { log, options, topic } = await newWorld();
      await log.createTopics([{ topic, partitions: 1, retentionMs: -1 }]);
      const expected = [`topic ${topic} has 1 partitions, 2 are configured`];
      expect(await reasons(initLog(options))).toEqual(expected);
      expect(await reasons(check(options))).toEqual(expect.arrayContaining(expected));
      const there = options.placement.all.filter((each) => each.topic !== topic || each.partition === 0);
      expect(new Set((await log.ends(there)).map(({ offset }) => offset))).toEqual(new Set([0]));
    });

    it('changes nothing when a partition begins with another record', async () => {
      const { log, options, topic } = await newWorld();
      await log.createTopics(topicsOf(options.placement));
      await log.append([{ topic, partition: 1, record: { key: 'a', value: Buffer.from('b'), headers: {} } }]);
      const expected = [expect.stringContaining(`${topic}/1 does not begin with a genesis record`)];
      expect(await reasons(initLog(options))).toEqual(expected);
      expect(await log.ends([{ topic, partition: 0 }])).toMatchObject([{ offset: 0 }]);
    });
  });

  describe('the guard', () => {
    it('detects a topic that loses records by age', async () => {
      const { log, options, topic } = await newWorld();
      await log.createTopics([{ topic, partitions: PARTITIONS, retentionMs: 60_000 }]);
      expect(await reasons(initLog(options))).toEqual([`topic ${topic} has retention.ms=60000, it must be -1`]);
    });

    it('detects a deleted topic', async () => {
      const { options, topic } = await newInitialised((world) => [world.topic]);
      const expected = [expect.stringContaining(`topic ${topic} does not exist any more`)];
      expect(await reasons(check(options))).toEqual(expected);
      expect(await reasons(initLog(options))).toEqual(expected);
    });

    it('detects a re-created topic, and init leaves it empty', async () => {
      const { log, options, topic } = await newInitialised((world) => [world.topic]);
      await log.createTopics([{ topic, partitions: PARTITIONS, retentionMs: -1 }]);
      const expected = [0, 1].map((partition) =>
        expect.stringContaining(
          `${topic}/${partition} is empty, its genesis record is missing: topic ${topic} was re-c`,
        ),
      );
      expect(await reasons(check(options))).toEqual(expected);
      expect(await reasons(initLog(options))).toEqual(expected);
      expect(await log.ends([{ topic, partition: 0 }])).toMatchObject([{ offset: 0 }]);
    });

    it('detects topics that another database has opened', async () => {
      const { log, options, topic } = await newInitialised(({ options }) => options.placement.topics);
      const { incarnation } = (await readIdentity(options.database))!;
      await initLog({ ...options, database: await newDatabase() });
      const found = await reasons(check(options));
      expect(found).toHaveLength(options.placement.all.length);
      expect(found[0]).toContain(`the topic of ${topic}/0 was re-created`);
      expect(found[0]).toContain(`this database belongs to ${incarnation}`);
      expect(await log.ends([{ topic, partition: 0 }])).toMatchObject([{ offset: 1 }]);
    });

    it('detects partitions of different incarnations', async () => {
      const { log, options, topic } = await newInitialised((world) => [world.topic]);
      const { placement } = options;
      await log.createTopics([{ topic, partitions: PARTITIONS, retentionMs: -1 }]);
      const reopened = [0, 1].map((partition) => ({ topic, partition }));
      await log.append(reopened.map((where) => ({ ...where, record: genesisRecord(placement, where, randomUUID()) })));
      expect(await reasons(checkLog(log, placement, undefined))).toContainEqual(
        expect.stringContaining('partitions are of different incarnations'),
      );
      expect(await reasons(check(options))).toHaveLength(PARTITIONS);
    });

    it('does not change a log that belongs to another database', async () => {
      const { log, options } = await newInitialised(() => []);
      const other = await newDatabase();
      await other.query({ text: `INSERT INTO log_identity (incarnation) VALUES (gen_random_uuid())` });
      const found = await reasons(initLog({ ...options, database: other }));
      expect(found).toHaveLength(options.placement.all.length);
      expect(new Set((await log.ends(options.placement.all)).map(({ offset }) => offset))).toEqual(new Set([1]));
    });
  });

  more(newWorld);
}

describe('on the embedded log', () => {
  initSuite({
    open: (connection, name) =>
      openLogUnder(
        { held: () => Promise.resolve(), stop: () => Promise.resolve() },
        { connection, namespace: name, log: silent },
      ),
    deleteTopic: async (topic, database) => {
      for (const table of ['log_records', 'log_partitions', 'log_topics'])
        await database.query({ text: `DELETE FROM ${table} WHERE topic = $1`, values: [topic] });
    },
  });
});

describeWithKafka('on Kafka', ({ brokers }) => {
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
  const admin = kafka.admin();

  beforeAll(() => admin.connect());
  afterAll(() => admin.disconnect());

  const exists = async (topic: string) => (await admin.listTopics()).includes(topic);
  const adapter: Adapter = {
    open: () => openKafkaLog({ brokers, clientId: 'test', logger: silent }),
    deleteTopic: async (topic) => {
      await admin.deleteTopics({ topics: [topic] });
      await until(
        async () => !(await exists(topic)),
        30_000,
        () => `${topic} was not deleted`,
      );
    },
  };

  initSuite(adapter, (newWorld) => {
    it('the guard rejects a topic of voids with retention', async () => {
      const { options } = await newWorld();
      const topic = `${options.placement.namespace}.voids`;
      await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true });
      expect(await reasons(initLog(options))).toEqual([`topic ${topic} has cleanup.policy=delete, it must be compact`]);
    });

    it.each([
      ['cleanup.policy', 'compact', 'delete'],
      ['cleanup.policy', 'compact,delete', 'delete'],
      ['retention.bytes', '1000000', '-1'],
    ])('the guard rejects %s=%s', async (name, value, wanted) => {
      const { options, topic } = await newWorld();
      const configEntries = [{ name: 'retention.ms', value: '-1' }, { name, value }]; // prettier-ignore
      const created = { topic, numPartitions: PARTITIONS, configEntries };
      await admin.createTopics({ topics: [created], waitForLeaders: true });
      expect(await reasons(initLog(options))).toEqual([`topic ${topic} has ${name}=${value}, it must be ${wanted}`]);
    });
  });
});

const check = async ({ log, placement, database }: World['options']) =>
  checkLog(log, placement, await readIdentity(database));

/** The reasons of the refusal. */
async function reasons(work: Promise<unknown>): Promise<readonly string[]> {
  const error: unknown = await work.catch((thrown: unknown) => thrown);
  if (error instanceof LogRefused) return error.reasons;
  throw new Error('it was not refused', { cause: error });
}

/** Throws at one call, as if the process had died there. */
function crashing(log: EventLog, calls: number, when: 'before' | 'after'): EventLog {
  let left = calls;
  const step = async <T>(work: () => Promise<T>): Promise<T> => {
    const crashes = left-- === 0;
    if (crashes && when === 'before') throw new Error('crashed');
    const result = await work();
    if (crashes) throw new Error('crashed');
    return result;
  };
  return {
    ...log,
    describe: (topics) => step(() => log.describe(topics)),
    createTopics: (topics) => step(() => log.createTopics(topics)),
    append: (batch) => step(() => log.append(batch)),
    ends: (partitions) => step(() => log.ends(partitions)),
    read: (from, options) => step(() => log.read(from, options)),
  };
}
