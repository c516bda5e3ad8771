import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AppendError, type EventLog } from '../../src/log/event-log.ts';
import { publishedTopicOf } from '../../src/log/published.ts';
import { openDatabase, type Database } from '../../src/postgres/pool.ts';
import { Publishing } from '../../src/consumers/publishing.ts';
import { claim, type Core, openCore } from '../support/core.ts';
import { recordsOf } from '../support/records.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

const PARTITION = 0;
const undecodable = Buffer.from([0, 0, 0, 0, 2, 0xff]);

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database.drop());

let core: Core;
let reads: Database;
beforeEach(async () => {
  core = await openCore({ connection: database.connection });
  const { schema } = await core.serving();
  reads = openDatabase(database.connection, { name: 'test', max: 4, searchPath: [schema] });
});
afterEach(async () => {
  await reads.stop();
  await core.close();
});

const source = () => core.catalog(PARTITION);
const target = () => ({ topic: publishedTopicOf(core.namespace, source().topic), partition: PARTITION });

/** A publisher of the partition, over the log or one that treats it badly. */
function publisher(append: EventLog['append'] = (batch) => core.log.append(batch)): Publishing {
  const publishing = new Publishing({ log: { ...core.log, append }, placement: core.placement, database: reads });
  publishing.assign([source()]);
  return publishing;
}

async function publishAll(...publishers: readonly Publishing[]): Promise<void> {
  while ((await Promise.all(publishers.map((each) => each.round()))).some(Boolean));
}

/** Appends the first events of so many new albums, and waits until they are judged. */
async function albums(count: number): Promise<void> {
  const records = Array.from({ length: count }, () => claim({ stream: core.streamIn(PARTITION) }));
  await core.append(source(), ...records);
  await core.settled();
}

/** Source offsets as they are published, with repeats. */
async function published() {
  const records = recordsOf(await core.log.read({ ...target(), offset: 0 }, { maxBytes: 2 ** 24 }));
  return records.map(({ key, headers, value }) => ({
    key,
    headers,
    json: JSON.parse(value.toString()) as Record<string, unknown>,
  }));
}
const offsets = async () => (await published()).map(({ json }) => Number(json.sourceoffset));

/** Source offsets for a reader that ignores those that it has seen. */
async function seen(): Promise<number[]> {
  const once: number[] = [];
  for (const offset of await offsets()) if (offset > (once.at(-1) ?? -1)) once.push(offset);
  return once;
}

/** Offsets of the accepted events of music. */
async function accepted(): Promise<number[]> {
  const text = `SELECT "offset" FROM stream_events WHERE topic = $1 AND partition = $2 AND stream NOT LIKE 'genesis%' ORDER BY 1`;
  const { topic, partition } = source();
  return (await reads.query<{ offset: number }>({ text, values: [topic, partition] })).map(({ offset }) => offset);
}

describe('a published topic', () => {
  it('holds the accepted events only, in the order of the log, under the same key and in the same partition', async () => {
    const stream = core.streamIn(PARTITION);
    const first = claim({ stream });
    await core.append(source(), first, claim({ stream }), claim({ stream: core.streamIn(PARTITION) }));
    await core.settled();
    await publishAll(publisher());
    expect(await offsets()).toEqual([1, 3]);
    const [record] = await published();
    expect(record).toMatchObject({
      key: stream,
      headers: { 'content-type': 'application/cloudevents+json' },
      json: { subject: stream, id: first.id, streamversion: 1, data: { albumId: stream } },
    });
  });

  it('holds quarantined winners in order, with their bytes and the reason', async () => {
    await albums(1);
    await core.append(source(), claim({ stream: core.streamIn(PARTITION), value: undecodable }));
    await albums(1);
    await publishAll(publisher());
    const all = (await published()).map(({ json }) => [json.sourceoffset, json.data_base64, json.quarantinereason]);
    expect(all).toEqual([
      [1, undefined, undefined],
      [2, undecodable.toString('base64'), expect.any(String)],
      [3, undefined, undefined],
    ]);
  });

  it('is continued where it ends by a publisher that starts after one that died between append and acknowledgment', async () => {
    await albums(20);
    const dying = publisher(async (batch) => {
      await core.log.append(batch);
      throw new Error('killed');
    });
    await expect(dying.round()).rejects.toThrow('killed');
    await albums(20);
    await publishAll(publisher());
    expect(await offsets()).toEqual(await accepted());
  });

  it.each([
    ['reached the log', true],
    ['did not reach the log', false],
  ])('misses and repeats nothing after an append without an answer that %s', async (_, arrives) => {
    let lost = 0;
    const unlucky = publisher(async (batch) => {
      if (lost++ > 0) return core.log.append(batch);
      if (arrives) await core.log.append(batch);
      throw new AppendError('unknown', 'no answer');
    });
    await albums(10);
    await expect(unlucky.round()).rejects.toThrow('no answer');
    await albums(10);
    await publishAll(unlucky);
    expect(await offsets()).toEqual(await accepted());
  });

  it('shows every event once and in order to a reader that ignores repeats, while two publishers write to it', async () => {
    await albums(700);
    const publishers = [publisher(), publisher()];
    await publishAll(...publishers);
    await albums(700);
    await publishAll(...publishers);
    expect(await seen()).toEqual(await accepted());
  });

  it('gets one batch of repeats from a publisher that was frozen before an append while another one went on', async () => {
    const frozen = Promise.withResolvers<void>();
    const isFrozen = Promise.withResolvers<void>();
    const zombie = publisher(async (batch) => {
      isFrozen.resolve();
      await frozen.promise;
      await core.log.append(batch);
    });
    await albums(50);
    const late = zombie.round();
    await isFrozen.promise;
    const successor = publisher();
    await publishAll(successor);
    await albums(50);
    await publishAll(successor);
    frozen.resolve();
    await late;
    await albums(50);
    await publishAll(zombie, successor);
    expect(await seen()).toEqual(await accepted());
    // The zombie's batch, and the events that both publish at the same time before each sees the other.
    expect((await offsets()).length).toBeLessThanOrEqual((await accepted()).length + 50 + 100);
  });

  it('is filled again from the beginning after its topic was made anew', async () => {
    await albums(5);
    const running = publisher();
    await publishAll(running);
    await core.log.deleteTopics([target().topic]);
    await core.log.createTopics([{ topic: target().topic, partitions: 2, retentionMs: -1 }]);
    await albums(5);
    await publishAll(running);
    await albums(1);
    await publishAll(running);
    expect(await seen()).toEqual(await accepted());
  });
});
