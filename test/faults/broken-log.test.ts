import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type LogRecord, partitionKey } from '../../src/events/record.ts';
import { createClient } from '../support/client.ts';
import { claim } from '../support/core.ts';
import { describeDistributed, type Distributed, seedOfRun, startDistributed } from '../support/distributed.ts';
import { createRandom, type Random } from '../support/history/random.ts';
import { entryOf, eventually, linesOf } from '../support/observed.ts';
import { openStrangerClient, type StrangerClient } from '../support/stranger-client.ts';
import { expectStopped, expectChangesAccepted } from '../support/stopped-partition.ts';
import { albumIn, catalog, streamIn } from '../support/streams.ts';

const seed = seedOfRun();
const LONG_MS = 120_000;

/** Each test breaks a partition of its own. */
const [FLIPPED, DELETED, REFILLED, EMPTY] = [0, 1, 2, 3];

describeDistributed('a projector', () => {
  let system: Distributed;
  let outsider: StrangerClient;
  /** One album in each partition. */
  const albums: string[] = [];

  beforeAll(async () => {
    system = await startDistributed({ env: { PARTITIONS: '4' } });
    outsider = await openStrangerClient(system.env.KAFKA_BROKERS!.split(','));
    const client = createClient(system.apis[0]!.url);
    for (const partition of [FLIPPED, DELETED, REFILLED, EMPTY]) albums.push(await albumIn(system, client, partition));
  }, LONG_MS);
  afterAll(async () => {
    await outsider.close();
    await system.stop();
  });

  const strangers = (count: number, partition: number) =>
    Array.from({ length: count }, () => claim({ stream: streamIn(system, partition) }));
  const stops = (partition: number, reason: RegExp) =>
    expectStopped(system, catalog(system, partition), albums[partition]!, reason);
  const goesOnAt = (partition: number) => expectChangesAccepted(system, albums[partition]!);

  it(
    `stops at a flipped bit in a header, and resumes when that record is declared void (SEED=${seed})`,
    async () => {
      const where = catalog(system, FLIPPED);
      const position = `${partitionKey(where)}@${await outsider.end(where)}`;
      await outsider.produce(where, flipped(claim({ stream: streamIn(system, FLIPPED) }), createRandom(seed)));
      await stops(FLIPPED, /^key and headers sum up to/);
      await goesOnAt(EMPTY);
      const detail = expect.stringContaining('1 partitions are stopped');
      expect((await entryOf(system.apis[0]!, 'lag')).entry).toMatchObject({ ok: false, detail });

      expect(await system.cli('log', 'void', position, '--why', 'a test')).toMatchObject({ code: 0 });
      await goesOnAt(FLIPPED);
      expect((await createClient(system.projectors[0]!.url).get('/livez')).status).toBe(200);
      expect((await system.cli('projections', 'rebuild')).output).toContain('equals the live generation');
    },
    LONG_MS,
  );

  it(
    'stops when records were deleted before it read them, and resumes when the gap is declared void',
    async () => {
      const where = catalog(system, DELETED);
      const next = await outsider.end(where);
      system.projectors[0]!.freeze();
      await outsider.produce(where, ...strangers(1, DELETED)); // ends the current fetch
      await outsider.produce(where, ...strangers(5, DELETED));
      await outsider.deleteBefore(where, (await outsider.end(where)) - 2);
      system.projectors[0]!.thaw();
      const gap = `${partitionKey(where)}@${next} to ${(await outsider.end(where)) - 3}`;
      await stops(DELETED, /^offsets \d+ to \d+ are missing$/);
      await goesOnAt(EMPTY);
      expect(await system.cli('log', 'void', `${partitionKey(where)}@${next}`, '--why', 'a test')).toMatchObject({
        code: 0,
        output: expect.stringContaining(`${gap} is void from now on.`),
      });
      await goesOnAt(DELETED);
    },
    LONG_MS,
  );

  it(
    'stops when its topic was created again, even if the new one holds more records',
    async () => {
      const where = catalog(system, REFILLED);
      const end = await outsider.end(where);
      await outsider.recreate(where.topic);
      const resets = () => linesOf(system.projectors[0]!, 'kafkajs ConsumerGroup: Offset out of range');
      await eventually('it has met the new end', () =>
        resets().some(({ kafkajs }) => (kafkajs as { partition: number }).partition === REFILLED),
      );
      await outsider.produce(where, ...strangers(end + 5, REFILLED));
      await stops(REFILLED, /another log|are missing|the log ends at/);
      await stops(EMPTY, /the log ends at/);
    },
    LONG_MS,
  );
});

/** The record with one flipped bit in a header. */
function flipped(record: LogRecord, random: Random): LogRecord {
  const [name, value] = random.pick(Object.entries(record.headers).filter((each) => each[1] !== ''))!;
  const bytes = Buffer.from(value);
  bytes[random.below(bytes.length)]! ^= 1 << random.below(7);
  return { ...record, headers: { ...record.headers, [name]: bytes.toString() } };
}
