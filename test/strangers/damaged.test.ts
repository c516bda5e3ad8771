import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { Position, TopicPartition } from '../../src/events/record.ts';
import { lastOffsetOf } from '../../src/log/entry.ts';
import { publishVoids } from '../../src/log/void-topic.ts';
import { claim, type Core, kafkaSource, openCore } from '../support/core.ts';
import { askEveryJudge, rebuildNow, stoppedAt, verify, withQueue } from '../support/judges.ts';
import { openStrangerClient, type StrangerClient } from '../support/stranger-client.ts';
import {
  createDatabase,
  describeWithNativeKafka,
  type NativeKafka,
  startNativeKafka,
  type TestDatabase,
} from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';

const LONG_MS = 240_000;
const DAMAGED = 5;

describeWithNativeKafka('the disk of a broker', () => {
  let dir: string;
  let broker: NativeKafka;
  let database: TestDatabase;
  let core: Core;
  let outsider: StrangerClient;

  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'openmusic-damaged-'));
    broker = await startNativeKafka({ dir });
    database = await createDatabase();
  }, LONG_MS);
  afterAll(async () => {
    await broker.stop();
    await rm(dir, { recursive: true });
    await database.drop();
  });
  beforeEach(async () => {
    core = await openCore({ connection: database.connection, source: kafkaSource(broker.brokers) });
    outsider = await openStrangerClient(broker.brokers);
    await core.settled();
    await core.stopProjectors();
  }, LONG_MS);
  afterEach(async () => {
    await outsider.close();
    await core.close();
  });

  const [stuck, other, jobs] = [
    () => core.catalog(0),
    () => core.catalog(1),
    () => ({ topic: `${core.namespace}.jobs`, partition: 0 }),
  ];
  const ids = async () => (await core.rows<{ record_id: string }>('stream_events')).map(({ record_id }) => record_id);

  /** Each record in a batch of its own. */
  async function appended(where: TopicPartition, count: number): Promise<ReturnType<typeof claim>[]> {
    const claims = Array.from({ length: count }, () => claim({ stream: core.streamIn(0) }));
    for (const each of claims) await core.append(where, each);
    return claims;
  }

  /** Overwrites the length of the batch at a position, in the file that the broker serves. */
  async function damage({ topic, partition, offset }: Position, length: number): Promise<void> {
    const segment = path.join(dir, 'data', `${topic}-${partition}`, '00000000000000000000.log');
    const file = await open(segment, 'r+');
    const header = Buffer.alloc(12);
    let at = 0;
    for (; ; at += 12 + header.readInt32BE(8)) {
      await file.read(header, 0, 12, at);
      if (Number(header.readBigInt64BE(0)) === offset) break;
    }
    header.writeInt32BE(length, 8);
    await file.write(header, 0, 12, at);
    await file.close();
  }

  /** Everything from a position to the next readable offset. */
  async function declareVoid(at: Position): Promise<number> {
    const [entry] = await core.log.read(at, { maxBytes: 1 });
    const last = entry?.offset === at.offset ? lastOffsetOf(entry) : NaN;
    await declare(at, last);
    return last;
  }
  const declare = (at: Position, last: number) =>
    publishVoids({ log: core.log, namespace: core.namespace, database: core.admin }, [
      { ...at, last, reason: 'damaged', declaredAt: new Date() },
    ]);

  /** With the queue of jobs beside the projector: both are stopped, and resume after `mend`. */
  const stopsBoth = (mend: () => Promise<void>) =>
    withQueue(core, async (health) => {
      await until(
        () => Promise.resolve(health().stopped.length === 1),
        60_000,
        () => `the queue goes on: ${JSON.stringify(health())}`,
      );
      await mend();
      await until(
        () => Promise.resolve(health().stopped.length === 0 && core.projectors?.health().stopped.length === 0),
        60_000,
        () => `they are stopped: ${JSON.stringify([health(), core.projectors?.health()])}`,
      );
    });

  it(
    'damaged at the start of a batch: the broker shows nothing up to the next batch of its index, and only that partition stops',
    async () => {
      const before = await appended(stuck(), DAMAGED - 1);
      const after = await appended(stuck(), 30);
      await appended(jobs(), 30);
      for (const where of [stuck(), jobs()]) await damage({ ...where, offset: DAMAGED }, 1);
      await core.startProjectors();
      expect(await stoppedAt(core, stuck())).toMatch(/its checksum is wrong|CORRUPT_MESSAGE/);
      const elsewhere = claim({ stream: core.streamIn(1) });
      await core.append(other(), elsewhere);
      await core.settled([stuck(), jobs()]);
      await expect(rebuildNow(core)).rejects.toThrow(/its checksum is wrong|CORRUPT_MESSAGE/);

      const [hidden] = await core.log.read({ ...stuck(), offset: DAMAGED }, { maxBytes: 1 });
      expect(hidden).toMatchObject({
        blank: 'unreadable',
        offset: DAMAGED,
        reason: expect.stringMatching(/^the broker does not show offsets 5 to \d+: CORRUPT_MESSAGE/),
      });
      const last = lastOffsetOf(hidden!);
      expect(last).toBeGreaterThan(DAMAGED);
      expect(last).toBeLessThan(30);
      const { faults } = await verify(core);
      expect(faults).toContainEqual(
        expect.stringMatching(`^${stuck().topic}/0@6: the broker does not show offsets? 6.*: CORRUPT_MESSAGE`),
      );

      await declare({ ...stuck(), offset: DAMAGED }, DAMAGED);
      await until(
        () => Promise.resolve(core.projectorReports.stopped.some(({ position }) => position.offset === DAMAGED + 1)),
        60_000,
        () => `not stopped again: ${JSON.stringify(core.projectorReports.stopped)}`,
      );
      expect(await stoppedAt(core, stuck())).toMatch(/^the broker does not show offset 6: CORRUPT_MESSAGE/);
      await core.append(other(), claim({ stream: core.streamIn(1) }));
      await core.settled([stuck(), jobs()]);

      await stopsBoth(async () => {
        for (const where of [stuck(), jobs()]) await declareVoid({ ...where, offset: DAMAGED });
      });
      await askEveryJudge(core);
      const lost = after.slice(0, last - DAMAGED + 1);
      const kept = [...before, ...after.slice(lost.length), elsewhere].map(({ id }) => id);
      expect(await ids()).toEqual(expect.arrayContaining(kept));
      expect(await ids()).not.toContain(lost[0]!.id);
    },
    LONG_MS,
  );

  it(
    'damaged so that the broker shows nothing up to the end: the gap stops every judge, and can be declared void',
    async () => {
      const [kept] = await appended(stuck(), 2);
      await appended(jobs(), 2);
      for (const where of [stuck(), jobs()]) await damage({ ...where, offset: 2 }, 2 ** 30);
      await core.startProjectors();
      expect(await stoppedAt(core, stuck())).toBe('offset 2 is missing');
      await core.append(other(), claim({ stream: core.streamIn(1) }));
      await core.settled([stuck(), jobs()]);
      await expect(rebuildNow(core)).rejects.toThrow('offset 2 is missing');
      expect((await verify(core)).faults).toEqual(
        [stuck(), jobs()].map(({ topic }) => `${topic}/0@2: offset 2 is missing`),
      );
      await stopsBoth(async () => {
        for (const where of [stuck(), jobs()]) await declareVoid({ ...where, offset: 2 });
      });
      await askEveryJudge(core);
      expect(await ids()).toContain(kept!.id);
    },
    LONG_MS,
  );

  it(
    'without records that were deleted up to the end: the gap stops every judge that had not applied them, until it is declared void',
    async () => {
      await appended(stuck(), 3);
      await appended(jobs(), 3);
      for (const where of [stuck(), jobs(), other()]) await outsider.deleteBefore(where, await outsider.end(where));
      await core.startProjectors();
      expect(await stoppedAt(core, stuck())).toBe('offsets 1 to 3 are missing');
      await stopsBoth(async () => {
        await declare({ ...stuck(), offset: 1 }, 3);
        await declare({ ...jobs(), offset: 0 }, 3); // a new queue begins at 0
      });
      await core.settled();
      expect(core.projectorReports.stopped.map(({ position }) => position.partition)).not.toContain(1);
      const next = [await appended(stuck(), 1), claim({ stream: core.streamIn(1) })].flat();
      await core.append(other(), next[1]!);
      await core.settled();
      expect(await ids()).toEqual(expect.arrayContaining(next.map(({ id }) => id)));
    },
    LONG_MS,
  );
});
