import { randomInt } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { partitionKey, type TopicPartition } from '../../src/events/record.ts';
import { declareVoid } from '../../src/log/voids.ts';
import { findAlbum } from '../../src/projections/albums.ts';
import { differences, tableChecksums } from '../../src/projections/generations/checksums.ts';
import { startGenerationProjectors } from '../../src/projections/engine/generation-projectors.ts';
import { createGeneration, type Generation, listGenerations } from '../../src/projections/generations/generations.ts';
import { projections, READ_VERSION } from '../../src/projections/projections.ts';
import { rebuild, type RebuildOptions } from '../../src/projections/generations/rebuild.ts';
import { openManualProjector } from '../support/manual-projector.ts';
import {
  type Api,
  chain,
  claim,
  type Core,
  embeddedSource,
  kafkaSource,
  type LogSource,
  openCore,
  originOf,
  withCorruptHeader,
} from '../support/core.ts';
import { newJobId, jobEvents } from '../support/jobs.ts';
import { eventually } from '../support/observed.ts';
import { createDatabase, describeWithKafka, type TestDatabase } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';

let database: TestDatabase;
/** More than the number of connections. */
const READERS = 40;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  database = await createDatabase();
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => database.drop());

async function open(options: Partial<Parameters<typeof openCore>[0]> = {}): Promise<Core> {
  const core = await openCore({ connection: database.connection, ...options });
  closing.push(() => core.close());
  return core;
}

const generationsOf = (core: Core) => core.admin.use((client) => listGenerations(client));
const checksumsOf = (core: Core, { schema }: Generation) =>
  core.admin.use((client) => tableChecksums(client, schema, projections));
const rebuildOf = (core: Core, more: Partial<RebuildOptions> = {}) =>
  rebuild({ ...core.rebuildOptions, ...more }, new AbortController().signal);

async function hasSchema(core: Core, { schema }: Generation): Promise<boolean> {
  return (await core.admin.query({ text: 'SELECT FROM pg_namespace WHERE nspname = $1', values: [schema] })).length > 0;
}

/** Writes as fast as possible until stopped; every acknowledged write is read at once, through every api. */
function startWriting(apis: readonly Api[], writers: number) {
  const written = new Map<string, number>();
  const problems: string[] = [];
  let running = true;
  const look = async (id: string, atLeast: number) => {
    for (const [index, { reads }] of apis.entries()) {
      const found = await findAlbum(reads, id);
      if ((found?.version ?? 0) < atLeast)
        problems.push(`api ${index} shows ${id} at ${found?.version}, not ${atLeast}`);
    }
  };
  const writing = Array.from({ length: writers }, async (_, index) => {
    for (let round = 0; running; round++) {
      try {
        const { id, version } = await apis[index % apis.length]!.createAlbum(`${index}.${round}`);
        written.set(id, version);
        await look(id, version);
        const changed = await apis[index % apis.length]!.changeAlbum(id, 'changed');
        written.set(id, changed.version);
        await look(id, changed.version);
      } catch (error) {
        problems.push(String(error));
      }
    }
  });
  return {
    written,
    problems,
    async stop() {
      running = false;
      await Promise.all(writing);
    },
  };
}

function rebuildUnderLoad(source: LogSource): void {
  it('beside the live generation, under writes, gives equal tables and is served, and no client misses an acknowledged write', async () => {
    const core = await open({ source });
    const apis = [await core.openApi(), await core.openApi()];
    const live = await core.serving();
    const load = startWriting(apis, 8);
    await until(
      () => Promise.resolve(load.written.size > 100),
      30_000,
      () => `${load.written.size}: ${load.problems[0]}`,
    );
    const result = await rebuildOf(core);
    expect(result).toMatchObject({ differences: [], served: true });
    await until(
      () => Promise.resolve(apis.every(({ reads }) => reads.generation()?.id === result.generation.id)),
      30_000,
      () =>
        `still read: ${apis.map(({ reads }) => reads.generation()?.schema).join()} ${apis.map((api) => api.reports).join()}`,
    );
    const atSwitch = load.written.size;
    await until(
      () => Promise.resolve(load.written.size > atSwitch + 50),
      30_000,
      () => 'nothing is written any more',
    );
    await load.stop();
    expect(load.problems).toEqual([]);
    for (const { reads } of apis) {
      for (const [id, version] of load.written) expect((await findAlbum(reads, id))?.version).toBe(version);
    }
    await until(
      async () => !(await hasSchema(core, live)),
      30_000,
      () => 'the older generation still exists',
    );
    expect((await generationsOf(core)).map(({ state }) => state)).toEqual(['retired', 'serving']);
  });
}

describe('a rebuild on the embedded log', () => rebuildUnderLoad(embeddedSource));
describeWithKafka('a rebuild on Kafka', ({ brokers }) => rebuildUnderLoad(kafkaSource(brokers)));

describe('a rebuild', () => {
  it('serves readers that wait for a connection during the switch', async () => {
    const core = await open();
    const api = await core.openApi({ max: 2 });
    const { id } = await api.createAlbum();
    let [running, reads] = [true, 0];
    const failures: string[] = [];
    const reading = Array.from({ length: READERS }, async () => {
      while (running) {
        await api.reads.query({ text: 'SELECT pg_sleep(0.005)' }).then(
          () => (reads += 1),
          (error: unknown) => failures.push(String(error)),
        );
      }
    });
    const { generation } = await rebuildOf(core);
    await until(
      () => Promise.resolve(api.reads.generation()?.id === generation.id),
      30_000,
      () => 'it does not switch',
    );
    const enough = reads + 2 * READERS;
    await until(
      () => Promise.resolve(reads >= enough || failures.length > 0),
      10_000,
      () => 'nothing is read after the switch',
    );
    running = false;
    await Promise.all(reading);
    expect(failures).toEqual([]);
    expect(await findAlbum(api.reads, id)).toBeDefined();
  });

  it('lets a read that spans the switch finish on the rows it began with', async () => {
    const core = await open();
    const api = await core.openApi();
    for (let n = 0; n < 5; n++) await api.createAlbum(`${n}`);
    const [begun, switched] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const schemas: unknown[] = [];
    const reading = api.reads.use(async (client) => {
      const look = async () => schemas.push((await client.query('SELECT current_schema')).rows);
      await look();
      begun.resolve();
      await switched.promise;
      await look();
    });
    await begun.promise;
    const { generation } = await rebuildOf(core);
    await eventually('it switches', () => api.reads.generation()?.id === generation.id);
    switched.resolve();
    await reading;
    expect(schemas).toHaveLength(2);
    expect(schemas[1]).toEqual(schemas[0]);
  });

  it('finds tampered rows, names the table, and is not served', async () => {
    const core = await open();
    const api = await core.openApi();
    const { id } = await api.createAlbum('as it was');
    const live = await core.serving();
    await core.admin.query({
      text: `UPDATE "${live.schema}".albums SET name = 'tampered' WHERE id = $1`,
      values: [id],
    });
    const result = await rebuildOf(core);
    expect(result.served).toBe(false);
    expect(result.differences).toEqual([expect.stringMatching(/^albums: 1 rows .* against 1 rows/)]);
    expect(await core.serving()).toMatchObject({ id: live.id });
    expect(await api.changeAlbum(id, 'goes on')).toMatchObject({ version: 2 });
    expect((await findAlbum(api.reads, id))?.album.name).toBe('goes on');
  });

  it('is not compared with a generation that no projector updates', async () => {
    const core = await open();
    const api = await core.openApi();
    await api.createAlbum();
    await core.stopProjectors();
    await core.append(core.catalog(0), claim({ stream: core.streamIn(0) }));
    await expect(rebuildOf(core)).rejects.toThrow('has yet to apply 1 records that the new generation has');
    await core.startProjectors();
    expect(await rebuildOf(core)).toMatchObject({ differences: [], served: true });
  });

  it.each<[string, (schema: string) => string, RegExp]>([
    [
      'an extra row',
      (schema) => `INSERT INTO "${schema}".albums VALUES ('album-1', 1, 'x', 1)`,
      /^albums: 1 rows .* against 2 rows/,
    ],
    [
      'a missing row',
      (schema) => `DELETE FROM "${schema}".stream_events WHERE type = 'openmusic.AlbumCreated'`,
      /^stream_events/,
    ],
    [
      'a stream that is closed by mistake',
      (schema) =>
        `INSERT INTO "${schema}".quarantine SELECT stream, version, record_id, topic, partition, "offset", 'x' FROM "${schema}".stream_events WHERE type = 'openmusic.AlbumCreated'`,
      /^quarantine/,
    ],
    [
      'an accepted record with other bytes',
      (schema) => `UPDATE "${schema}".stream_events SET value = '\\x00' WHERE type = 'openmusic.AlbumCreated'`,
      /^stream_events/,
    ],
  ])('finds %s', async (_, sql, difference) => {
    const core = await open();
    const api = await core.openApi();
    await api.createAlbum();
    const { schema } = await core.serving();
    await core.admin.query({ text: sql(schema) });
    expect(await rebuildOf(core)).toMatchObject({ served: false, differences: [expect.stringMatching(difference)] });
  });

  it('drops what another rebuild began and did not finish', async () => {
    const core = await open();
    const abandoned = await core.admin.use((client) => createGeneration(client, core.rebuildOptions));
    const stopping = AbortSignal.abort(new Error('killed'));
    await expect(rebuild(core.rebuildOptions, stopping).then(() => 'done'))
      .rejects.toThrow('killed')
      .catch(() => undefined);
    const { generation, served } = await rebuildOf(core);
    expect(served).toBe(true);
    expect(await hasSchema(core, abandoned)).toBe(false);
    const states = (await generationsOf(core)).map(({ id, state }) => [id, state]);
    expect(states).toContainEqual([abandoned.id, 'retired']);
    expect(states.filter(([, state]) => state === 'building')).toEqual([]);
    expect(await core.serving()).toMatchObject({ id: generation.id });
  });

  it('is refused while another one runs, and not after it', async () => {
    const core = await open();
    const both = await Promise.allSettled([rebuildOf(core), rebuildOf(core)]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const running = `A rebuild is running: by process ${process.pid} on `;
    const refusal = { name: 'RebuildRunning', message: expect.stringContaining(running) };
    expect(both).toContainEqual({ status: 'rejected', reason: expect.objectContaining(refusal) });
    const newest = (await rebuildOf(core)).generation.id;
    await until(
      async () =>
        (await generationsOf(core)).every(({ id, state }) => state === (id === newest ? 'serving' : 'retired')),
      30_000,
      () => 'older generations are still served',
    );
  });

  it('keeps an older generation up to date while a process reads it', async () => {
    const core = await open();
    const old = await core.serving();
    const { default: pg } = await import('pg');
    const { holdGeneration } = await import('../../src/projections/generations/generations.ts');
    const reader = new pg.Client({ ...database.connection, options: `-c search_path=${old.schema},${core.namespace}` });
    await reader.connect();
    await holdGeneration(reader, core.namespace, 'read', old.id);
    const { stillRead, generation } = await rebuildOf(core);
    expect(stillRead.map(({ id }) => id)).toEqual([old.id]);
    const api = await core.openApi();
    expect(api.reads.generation()).toMatchObject({ id: generation.id });
    const { id } = await api.createAlbum('for both');
    expect((await reader.query('SELECT FROM albums WHERE id = $1', [id])).rowCount).toBe(1);
    await reader.end();
    await until(
      async () => !(await hasSchema(core, old)),
      30_000,
      () => 'the older generation still exists',
    );
    await api.createAlbum('for one');
  });
});

describe('the first start', () => {
  it('of two processes at once creates one generation', async () => {
    const core = await open({ projecting: 'never-built' });
    const projectors = await Promise.all(
      [1, 2].map(() => startGenerationProjectors({ ...core.rebuildOptions, version: READ_VERSION })),
    );
    for (const each of projectors) closing.push(() => each.stop());
    expect((await generationsOf(core)).map(({ number, state }) => [number, state])).toEqual([[1, 'serving']]);
    const api = await core.openApi();
    await Promise.all(Array.from({ length: 20 }, (_, n) => api.createAlbum(`${n}`)));
    expect(await core.rows('albums')).toHaveLength(20);
  });
});

describe('rebuild == live', () => {
  const seed = Number(process.env.SEED ?? randomInt(2 ** 31));

  it(`in 20 random interleavings of partitions, topics and batches (SEED=${seed})`, async () => {
    const random = seeded(seed);
    const core = await open({ partitions: 3 });
    await writeHistory(core, random);
    const live = await core.serving();
    const expected = await checksumsOf(core, live);
    expect(expected.find(({ table }) => table === 'quarantine')!.rows).toBeGreaterThan(0);
    expect(expected.find(({ table }) => table === 'songs')!.rows).toBeGreaterThan(20);
    expect(expected.find(({ table }) => table === 'jobs')!.rows).toBe(40);
    expect(expected.find(({ table }) => table === 'job_attempts')!.rows).toBeGreaterThan(20);
    const read = await readOnce(core);
    for (let round = 1; round <= 20; round++) {
      const generation = await core.admin.use((client) =>
        createGeneration(client, { ...core.rebuildOptions, version: 100 + round }),
      );
      const hand = await openManualProjector(core, generation, { random, read });
      for (let joins = Math.floor(random() * 3); joins > 0; joins--) {
        for (let steps = Math.floor(random() * 10); steps > 0; steps--)
          await hand.step(shuffled(core.placement.all, random));
        await hand.assigned();
      }
      await hand.catchUp(shuffled(core.placement.all, random));
      await hand.close();
      expect({ seed, round, differences: differences(expected, await checksumsOf(core, generation)) }).toEqual({
        seed,
        round,
        differences: [],
      });
      await core.admin.query({ text: `DROP SCHEMA "${generation.schema}" CASCADE` });
    }
  });
});

/** The log as it is now, from memory: every round reads it again in small steps. */
async function readOnce({ log, placement }: Core): Promise<Core['log']['read']> {
  const readAll = async (where: TopicPartition) =>
    [partitionKey(where), await log.read({ ...where, offset: 0 }, { maxBytes: 2 ** 26 })] as const;
  const entries = new Map(await Promise.all(placement.all.map(readAll)));
  return (from) => Promise.resolve(entries.get(partitionKey(from))!.filter(({ offset }) => offset >= from.offset));
}

/** Winners, losers, duplicates, strangers, voids and a closed stream, over all partitions, applied live. */
async function writeHistory(core: Core, random: () => number): Promise<void> {
  const api = await core.openApi();
  const albums: string[] = [];
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  for (let n = 0; n < 60; n++) albums.push((await api.createAlbum(`${n}`)).id);
  const closed = core.streamIn(1);
  const broken = claim({ stream: closed, value: Buffer.from('{}') });
  await core.append(core.catalog(1), broken, claim({ stream: closed, version: 2, prev: broken.id }));
  for (let n = 0; n < 150; n++) {
    const stream = random() < 0.5 ? core.streamIn(n % 3, 'song') : pick(albums);
    const isSong = stream.startsWith('song');
    const details = {
      title: `${n}`,
      year: n,
      genre: 'g',
      performer: 'p',
      duration: n % 2 ? n : null,
      albumId: pick(albums),
    };
    if (isSong) {
      const deleted = { type: 'SongDeleted', songId: stream, title: 'x', performer: 'p', year: 2000 } as const;
      const created = claim({ stream, event: { type: 'SongCreated', songId: stream, ...details } });
      const changed = claim({
        stream,
        version: 2,
        prev: created.id,
        event: { type: 'SongChanged', songId: stream, ...details, title: 'x' },
      });
      const removed = claim({ stream, version: 3, prev: changed.id, event: deleted });
      const stray = claim({ stream, version: 2, prev: created.id, event: deleted });
      await core.append(
        core.catalog(n % 3),
        ...[created, created, changed, stray, removed].slice(0, 1 + Math.floor(random() * 5)),
      );
    } else if (random() < 0.2) {
      await api.commands.album({ stream, origin: originOf(), command: { type: 'DeleteAlbum' } }).catch(() => undefined);
    } else {
      await api.changeAlbum(stream, `${n}`).catch(() => undefined);
    }
    if (n % 50 === 0) await core.append(core.catalog(n % 3), { key: 'stranger', value: Buffer.alloc(0), headers: {} });
  }
  await writeJobs(core, random);
  const last = { ...core.catalog(2), offset: (await core.log.ends([core.catalog(2)]))[0]!.offset };
  await core.append(
    core.catalog(2),
    withCorruptHeader(claim({ stream: core.streamIn(2) })),
    ...chain(core.streamIn(2), ['a', 'b']),
  );
  await declareVoid(core.admin, last, 'test');
  await core.settled();
}

/** Histories of jobs of random length, with duplicates and losers. */
async function writeJobs(core: Core, random: () => number): Promise<void> {
  const { requested, started, progressed, failed, died, retried, completed } = jobEvents;
  const history = [
    requested(),
    started(1),
    failed(1, 1),
    started(2, 1),
    progressed(2),
    died(2),
    retried(2),
    started(3),
  ];
  for (let n = 0; n < 40; n++) {
    const stream = newJobId();
    const records: ReturnType<typeof claim>[] = [];
    for (const [index, event] of [...history, completed(3)].entries()) {
      const prev = records.at(-1)?.id ?? '';
      records.push(claim({ stream, version: index + 1, prev, event }));
    }
    const some = records.slice(0, 1 + Math.floor(random() * records.length));
    const loser = claim({ stream, version: 2, prev: records[0]!.id, event: jobEvents.cancelled() });
    const mixed = n % 3 === 0 ? [...some.slice(0, 2), loser, ...some] : some;
    await core.append(core.placement.place(stream), ...mixed);
  }
}

/** Park and Miller's generator: good enough for choices, and repeatable by its seed. */
function seeded(seed: number): () => number {
  let state = (seed % 2147483646) + 1;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  return list
    .map((each) => ({ each, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ each }) => each);
}
