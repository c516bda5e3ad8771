import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createPlacement } from '../../src/events/placement.ts';
import { newId, idFromCommand } from '../../src/events/ids.ts';
import { partitionKey, showPosition, type TopicPartition } from '../../src/events/record.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { openKafkaLog } from '../../src/log/kafka.ts';
import { READ_VERSION } from '../../src/projections/projections.ts';
import { Follower } from '../contract/follower.ts';
import { createClient } from '../support/client.ts';
import { claim, withCorruptHeader } from '../support/core.ts';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { entryOf, eventually, FATAL, linesOf, metricOf } from '../support/observed.ts';
import { newPerson } from '../support/people.ts';
import type { OpenMusicProcess } from '../support/processes.ts';
import { ownerOf } from '../support/owners.ts';
import { albumIn, catalog } from '../support/streams.ts';

const LONG_MS = 240_000;
const WORKERS = ['exporter', 'worker', 'scheduler'] as const;
const STOPPED_LINE = 'a partition is no longer consumed';

describeDistributed('consumers of the log', () => {
  let system: Distributed;
  let log: EventLog;
  let projectorGroup: string;
  /** Every process that consumes the topic of jobs, by its group. */
  const consumers = new Map<string, OpenMusicProcess>();

  beforeAll(async () => {
    system = await startDistributed({ env: { LAG_ALARM_SECONDS: '3', VERDICT_WAIT_SECONDS: '1' } });
    const { namespace, env } = system;
    const groups = { namespace, of: await ownerOf(system.connection) }; // a stranger that uses their group names
    const brokers = env.KAFKA_BROKERS!.split(',');
    log = await openKafkaLog({ brokers, clientId: 'stranger', groups, logger: () => undefined });
    projectorGroup = `${namespace}.projector.${namespace}_read_${READ_VERSION}_1`;
    consumers.set(projectorGroup, system.projectors[0]!);
    const started = await Promise.all(WORKERS.map((role) => system.startWorker(role)));
    for (const [index, role] of WORKERS.entries()) consumers.set(`${namespace}.${role}`, started[index]!);
  }, LONG_MS);
  afterAll(async () => {
    await log.close();
    await system.stop();
  });

  const api = () => system.apis[0]!;
  const health = async (process: OpenMusicProcess) => [
    (await createClient(process.url).get('/livez')).status,
    (await createClient(process.url).get('/readyz')).status,
  ];
  const samples = (process: OpenMusicProcess, metric: string, group: string, where: TopicPartition) =>
    metricOf(process, metric, `group="${group}",partition="${partitionKey(where)}"`);

  /** A record of a stream in that partition, with only the checksum of its headers wrong. */
  function corruptJobIn(where: TopicPartition) {
    const placement = createPlacement(system.namespace, Number(system.env.PARTITIONS));
    for (;;) {
      const stream = idFromCommand('job', newId());
      if (placement.place(stream).partition === where.partition) return withCorruptHeader(claim({ stream }));
    }
  }

  it(
    'show a stopped partition consistently in livez, readyz, metrics and one fatal line, until it resumes',
    async () => {
      const where = { topic: `${system.namespace}.jobs`, partition: 0 };
      const [end] = await log.ends([where]);
      await log.append([{ ...where, record: corruptJobIn(where) }]);
      for (const [group, process] of consumers) {
        const lines = () => linesOf(process, STOPPED_LINE);
        await eventually(`${group} has stopped`, () => lines().length > 0);
        expect(lines()).toEqual([
          expect.objectContaining({ level: FATAL, group, position: showPosition(end!), reason: expect.any(String) }),
        ]);
        const isStopped = `${partitionKey(where)} is stopped: key and headers sum up to`;
        expect(await createClient(process.url).get('/livez')).toMatchObject({
          status: 503,
          body: { code: 'NOT_ALIVE', message: expect.stringContaining(isStopped) },
        });
        expect(await entryOf(process, 'consumers')).toMatchObject({
          status: 503,
          entry: { ok: false, detail: expect.stringContaining(`${group}: ${isStopped}`) },
        });
        expect(await samples(process, 'openmusic_partition_stopped', group, where)).toBe(1);
        expect(await samples(process, 'openmusic_partition_stopped', group, { ...where, partition: 1 })).toBe(0);
      }
      expect(await health(api())).toEqual([200, 200]);
      await eventually('the API shows it', async () => !(await entryOf(api(), 'lag')).entry?.ok);

      expect(await system.cli('log', 'void', showPosition(end!), '--why', 'a test')).toMatchObject({ code: 0 });
      for (const [group, process] of consumers) {
        await eventually(`${group} goes on`, async () => (await health(process)).join() === '200,200');
        expect(await samples(process, 'openmusic_partition_stopped', group, where)).toBe(0);
      }
    },
    LONG_MS,
  );

  it(
    'with a frozen projector show a lag that does not shrink in the API, which stays ready',
    async () => {
      const client = createClient(api().url);
      const album = await albumIn(system, client, 0);
      const alarm = () => samples(api(), 'openmusic_consumer_lag_alarm', projectorGroup, catalog(system, 0));
      await eventually('the lag is applied', async () => (await entryOf(api(), 'lag')).entry?.ok === true);
      expect(await alarm()).toBe(0);

      system.projectors[0]!.freeze();
      expect((await client.put(`/albums/${album}`, { name: 'waits', year: 2001 })).status).toBe(503);
      await eventually('the API alarms', async () => (await alarm()) === 1);
      expect(await entryOf(api(), 'lag')).toEqual({
        status: 200,
        entry: { ok: false, detail: expect.stringContaining('1 partitions do not catch up') },
      });
      expect((await client.get(`/albums/${album}`)).status).toBe(200);

      system.projectors[0]!.thaw();
      await eventually('the alarm ends', async () => (await entryOf(api(), 'lag')).entry?.ok === true);
      expect(await alarm()).toBe(0);
    },
    LONG_MS,
  );

  it(
    'whose partitions are held by a stranger in their group are red while the lag does not shrink',
    async () => {
      const client = createClient(api().url);
      const stranger = new Follower();
      const onCrash = (error: Error) => {
        throw error;
      };
      const { topic } = catalog(system, 0);
      const partitions = Array.from({ length: Number(system.env.PARTITIONS) }, (_, index) => catalog(system, index));
      for (const end of await log.ends(partitions)) stranger.from.set(partitionKey(end), end.offset);
      const subscription = await log.subscribe({ group: projectorGroup, topics: [topic], handler: stranger, onCrash });
      const held = () => stranger.joins.at(-1) ?? [];
      const hasShare = () => held().length > 0 && held().length < partitions.length;
      await eventually('the stranger and the projector have partitions', hasShare, 60_000);
      const taken = () => stranger.records.find((record) => held().map(partitionKey).includes(partitionKey(record)));
      await eventually('a write goes to the stranger', async () => {
        await client.post('/albums', { name: 'for the stranger', year: 2001 });
        return taken() !== undefined;
      });
      const where = taken();
      const [, projector] = [...consumers][0]!;
      await eventually('the projector is not ready', async () => (await health(projector)).join() === '200,503');
      expect((await entryOf(projector, 'consumers')).entry).toEqual({
        ok: false,
        detail: expect.stringMatching(/records of .* wait, and they do not become fewer/),
      });
      expect(await samples(projector, 'openmusic_consumer_lag_alarm', projectorGroup, where!)).toBe(1);
      expect(await samples(projector, 'openmusic_consumer_lag_records', projectorGroup, where!)).toBeGreaterThan(0);
      expect(await samples(projector, 'openmusic_consumer_stuck_seconds', projectorGroup, where!)).toBeGreaterThan(2);
      expect(await health(api())).toEqual([200, 200]);

      await subscription.stop();
      await eventually('the projector is ready', async () => (await health(projector)).join() === '200,200');
    },
    LONG_MS,
  );

  it(
    'that are all dead show a lag that does not shrink in the API, which stays ready',
    async () => {
      const group = `${system.namespace}.exporter`;
      const { accessToken } = await newPerson(api().url);
      const alarms = () => metricOf(api(), 'openmusic_consumer_lag_alarm', `group="${group}"`);
      const isWell = async () => (await entryOf(api(), 'queues')).entry?.ok === true;
      await eventually('every queue is up to date', isWell);
      expect(await alarms()).toBe(0);

      await consumers.get(group)!.end('SIGKILL');
      expect((await createClient(api().url, accessToken).post('/jobs', { type: 'dummy' })).status).toBe(202);
      await eventually('the API alarms', async () => (await alarms()) > 0);
      expect(await entryOf(api(), 'queues')).toEqual({
        status: 200,
        entry: {
          ok: false,
          detail: expect.stringMatching(/^exporter: \d+ records wait to be queued, 1 partitions do not catch up$/),
        },
      });

      await system.startWorker('exporter');
      await eventually('the alarm ends', isWell);
      expect(await alarms()).toBe(0);
    },
    LONG_MS,
  );
});
