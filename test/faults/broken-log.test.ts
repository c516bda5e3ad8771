import { afterEach, expect, it } from '@jest/globals';
import type { LogRecord } from '../../src/events/record.ts';
import { createClient } from '../support/client.ts';
import { claim } from '../support/core.ts';
import { describeDistributed, type Distributed, seedOfRun, startDistributed } from '../support/distributed.ts';
import { createRandom, type Random } from '../support/history/random.ts';
import { entryOf, eventually, linesOf } from '../support/observed.ts';
import { openOutsider, type Outsider } from '../support/outsider.ts';
import { stopsLoudly, takesChanges } from '../support/stopped.ts';
import { albumIn, catalog, streamIn } from '../support/streams.ts';

const seed = seedOfRun();

describeDistributed('a projector', () => {
  let system: Distributed;
  let outsider: Outsider;

  afterEach(async () => {
    await outsider.close();
    await system.stop();
  });

  /** An album in each of the two partitions. */
  async function start(): Promise<readonly [string, string]> {
    system = await startDistributed();
    outsider = await openOutsider(system.env.KAFKA_BROKERS!.split(','));
    const client = createClient(system.apis[0]!.url);
    return [await albumIn(system, client, 0), await albumIn(system, client, 1)];
  }

  const strangers = (count: number, partition: number) =>
    Array.from({ length: count }, () => claim({ stream: streamIn(system, partition) }));

  it(`stops at a flipped bit in a header, and goes on when that record is declared void (SEED=${seed})`, async () => {
    const [album, other] = await start();
    const where = catalog(system, 0);
    const position = `${where.topic}/0@${await outsider.end(where)}`;
    await outsider.produce(where, flipped(claim({ stream: streamIn(system, 0) }), createRandom(seed)));
    await stopsLoudly(system, where, album, /^key and headers sum up to/);
    await takesChanges(system, other);
    const detail = expect.stringContaining('1 partitions are stopped');
    expect((await entryOf(system.apis[0]!, 'lag')).entry).toMatchObject({ ok: false, detail });

    expect(await system.cli('log', 'void', position, '--why', 'a test')).toMatchObject({ code: 0 });
    await takesChanges(system, album);
    expect((await createClient(system.projectors[0]!.url).get('/livez')).status).toBe(200);
    expect((await system.cli('projections', 'rebuild')).output).toContain('equals the live build');
  });

  it('stops when records were deleted before it read them', async () => {
    const [album, other] = await start();
    const where = catalog(system, 0);
    system.projectors[0]!.freeze();
    await outsider.produce(where, ...strangers(1, 0)); // ends the fetch that is under way
    await outsider.produce(where, ...strangers(5, 0));
    await outsider.deleteBefore(where, (await outsider.end(where)) - 2);
    system.projectors[0]!.thaw();
    await stopsLoudly(system, where, album, /records are missing/);
    await takesChanges(system, other);
  });

  it('stops when its topic was made anew', async () => {
    const albums = await start();
    await outsider.recreate(catalog(system, 0).topic);
    for (const partition of [0, 1]) await stopsLoudly(system, catalog(system, partition), albums[partition]!, /./);
  });

  it('stops when its topic was made anew and then holds more than it did', async () => {
    const albums = await start();
    const ends = await Promise.all([0, 1].map((partition) => outsider.end(catalog(system, partition))));
    await outsider.recreate(catalog(system, 0).topic);
    const resets = () => linesOf(system.projectors[0]!, 'kafkajs ConsumerGroup: Offset out of range').length;
    await eventually('it has met the end of both partitions', () => resets() >= 2);
    for (const [partition, end] of ends.entries())
      await outsider.produce(catalog(system, partition), ...strangers(end + 5, partition));
    for (const partition of [0, 1]) {
      const reason = /another log|records are missing|the log ends at/;
      await stopsLoudly(system, catalog(system, partition), albums[partition]!, reason);
    }
  });
});

/** The record with one bit of one header other than it was written. */
function flipped(record: LogRecord, random: Random): LogRecord {
  const [name, value] = random.pick(Object.entries(record.headers).filter((each) => each[1] !== ''))!;
  const bytes = Buffer.from(value);
  bytes[random.below(bytes.length)]! ^= 1 << random.below(7);
  return { ...record, headers: { ...record.headers, [name]: bytes.toString() } };
}
