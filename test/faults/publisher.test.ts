import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { publishedTopicOf } from '../../src/log/published.ts';
import { openKafkaLog } from '../../src/log/kafka.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { READ_VERSION } from '../../src/projections/projections.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { createClient } from '../support/client.ts';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { eventually } from '../support/observed.ts';
import type { OpenMusicProcess } from '../support/processes.ts';
import { recordsOf } from '../support/records.ts';

const FAULTY = 'test/support/faulty-main.ts';
const ALBUMS = 60;

describeDistributed('publishers that die, freeze, and work at the same time', () => {
  let system: Distributed;
  let log: EventLog;
  beforeAll(async () => {
    system = await startDistributed();
    log = await openKafkaLog({
      brokers: system.env.KAFKA_BROKERS!.split(','),
      clientId: 'test',
      logger: () => undefined,
    });
  }, 180_000);
  afterAll(async () => {
    await log.close();
    await system.stop();
  });

  const partitions = () =>
    [0, 1].map((partition) => ({
      topic: publishedTopicOf(system.namespace, `${system.namespace}.catalog`),
      partition,
    }));

  async function albums(): Promise<void> {
    const client = createClient(system.apis[0]!.url);
    const answers = Array.from({ length: ALBUMS }, () => client.post('/albums', { name: 'a', year: 2001 }));
    for (const { status } of await Promise.all(answers)) expect(status).toBe(201);
  }

  /** Source offsets of each partition for a reader that ignores those that it has seen. */
  async function seen(): Promise<number[][]> {
    return Promise.all(
      partitions().map(async (partition) => {
        const [end] = await log.ends([partition]);
        const once: number[] = [];
        for (let offset = 0; offset < end!.offset;) {
          const records = recordsOf(await log.read({ ...partition, offset }));
          for (const { value } of records) {
            const { sourceoffset } = JSON.parse(value.toString()) as { sourceoffset: number };
            if (sourceoffset > (once.at(-1) ?? -1)) once.push(sourceoffset);
          }
          offset = records.at(-1)!.offset + 1;
        }
        return once;
      }),
    );
  }

  async function accepted(): Promise<number[][]> {
    const searchPath = [`${system.namespace}_read_${READ_VERSION}_1`];
    const reads = openDatabase(system.connection, { name: 'test', max: 1, searchPath });
    const text = `SELECT partition, "offset" FROM stream_events WHERE topic = $1 AND stream NOT LIKE 'genesis%' ORDER BY "offset"`;
    const values = [`${system.namespace}.catalog`];
    const rows = await reads.query<{ partition: number; offset: number }>({ text, values });
    await reads.stop();
    return [0, 1].map((wanted) => rows.flatMap(({ partition, offset }) => (partition === wanted ? [offset] : [])));
  }

  const allPublished = () =>
    eventually(
      'all accepted events are published',
      async () => JSON.stringify(await seen()) === JSON.stringify(await accepted()),
      90_000,
    );

  const publisher = (more = {}, entry?: string): Promise<OpenMusicProcess> =>
    system.startWorker('publisher', more, entry);

  it('publishes every accepted event once and in order', async () => {
    const dying = await publisher({ FAULT: 'after-publish:3' }, FAULTY);
    await albums();
    await albums();
    // Killed between its append and what it would have remembered of it.
    await dying.ended;
    const frozen = await publisher({ FAULT: 'before-publish:armed:SIGSTOP' }, FAULTY);
    await allPublished();
    process.kill(frozen.pid, 'SIGUSR2');
    await albums();
    await eventually('the publisher is frozen', frozen.isFrozen, 60_000);
    // They get the partitions when the session of the frozen one is over.
    await Promise.all([publisher(), publisher()]);
    await albums();
    await allPublished();
    frozen.thaw();
    await albums();
    await allPublished();
  }, 300_000);
});
