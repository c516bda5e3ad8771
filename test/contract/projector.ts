import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { OwnerChanged } from '../../src/events/genesis.ts';
import type { LogRecord, TopicPartition } from '../../src/events/record.ts';
import { declareVoid } from '../../src/log/voids.ts';
import { createGeneration, type Generation } from '../../src/projections/generations/generations.ts';
import type { Projection } from '../../src/projections/engine/table.ts';
import { projections } from '../../src/projections/projections.ts';
import { listQuarantine, release } from '../../src/projections/engine/quarantine.ts';
import type { CommitOutcome, ProjectionStore } from '../../src/projections/engine/store.ts';
import { openProjectorDatabase } from '../../src/projections/engine/generation-projector.ts';
import { rebuild } from '../../src/projections/generations/rebuild.ts';
import { verifyLog } from '../../src/projections/generations/verify.ts';
import { tableChecksums } from '../../src/projections/generations/checksums.ts';
import { openManualProjector, type ManualProjector, type ManualProjectorOptions } from '../support/manual-projector.ts';
import {
  chain,
  claim,
  type Core,
  type CoreOptions,
  type LogSource,
  openCore,
  withCorruptHeader,
  withCorruptValue,
  withoutHeader,
} from '../support/core.ts';
import { startCuttingProxy } from '../support/cutting-proxy.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';
import { recordsOf } from '../support/records.ts';

/** Inputs that the database itself rejects, until it is told to accept them. */
const refusing: Projection = {
  table: { name: 'refusing', columns: { id: 'text', name: 'text' } },
  ddl: `CREATE TABLE refusing (id text COLLATE "C" PRIMARY KEY, name text NOT NULL CHECK (allowed(name)))`,
  apply({ stream, event }, rows) {
    if (event.type === 'AlbumCreated' || event.type === 'AlbumChanged') rows.put({ id: stream, name: event.name });
    if (event.type === 'AlbumDeleted') rows.remove(stream);
  },
};

/** What the projector promises on every log. */
export function projectorSuite(source: LogSource): void {
  let database: TestDatabase;
  let commonCore: Core;
  const closing: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    database = await createDatabase();
    commonCore = await openCore({ connection: database.connection, source });
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  afterAll(async () => {
    await commonCore.close();
    await database.drop();
  });

  /** One core for all tests that leave it working, and the losers since the test began. */
  function common() {
    const before = commonCore.projectorReports.lost.length;
    return { core: commonCore, lost: () => commonCore.projectorReports.lost.slice(before) };
  }

  /** What a projector reported, once there are so many reports: it reports after its commit, which is visible before. */
  async function reported<T>(reports: () => readonly T[], count: number): Promise<readonly T[]> {
    await until(
      () => Promise.resolve(reports().length >= count),
      30_000,
      () => `reported ${JSON.stringify(reports())}`,
    );
    return reports();
  }

  async function open(options: Partial<CoreOptions> = {}): Promise<Core> {
    const core = await openCore({ connection: database.connection, source, ...options });
    closing.push(() => core.close());
    return core;
  }

  async function openHand(
    core: Core,
    options: ManualProjectorOptions = {},
    generation?: Generation,
  ): Promise<ManualProjector> {
    const hand = await openManualProjector(core, generation ?? (await core.serving()), options);
    closing.push(() => hand.close());
    return hand;
  }

  /** A core without a running projector, and a projector of it that the test steps. */
  async function openWithHand(options: ManualProjectorOptions = {}) {
    const core = await open({ projecting: false });
    return { core, hand: await openHand(core, options) };
  }

  /** Positions, versions and ids of the accepted records of a stream. */
  async function acceptedOf(core: Core, stream: string) {
    const rows = await core.rows<{ stream: string; version: number; record_id: string; offset: number }>(
      'stream_events',
    );
    return rows.filter((row) => row.stream === stream).map(({ version, record_id }) => [version, record_id]);
  }

  const albumsOf = (core: Core) => core.rows<{ id: string; version: number; name: string }>('albums');
  const checkpointsOf = (core: Core) =>
    core.rows<{ topic: string; partition: number; next: number; stopped: string | null }>('checkpoints');

  async function checkpointOf(core: Core, { topic, partition }: TopicPartition) {
    return (await checkpointsOf(core)).find((each) => each.topic === topic && each.partition === partition)!;
  }

  async function untilStopped(core: Core, where: TopicPartition): Promise<string> {
    await until(
      async () => core.projectors?.health().stopped.length === 1 && (await checkpointOf(core, where)).stopped !== null,
      30_000,
      () =>
        `nothing stopped: ${JSON.stringify(core.projectors?.health())} ${JSON.stringify(core.projectorReports.stopped)}`,
    );
    expect(core.projectorReports.stopped.at(-1)!.position).toMatchObject(where);
    expect(core.projectors!.health().stopped[0]!.partition).toBe(`${where.topic}/${where.partition}`);
    return (await checkpointOf(core, where)).stopped!;
  }

  describe('the first valid claim wins', () => {
    it('of two claims to the same version, and everything that follows the loser loses', async () => {
      const { core, lost } = common();
      const stream = core.streamIn(0);
      const [first, second] = [claim({ stream }), claim({ stream })];
      const afterSecond = claim({ stream, version: 2, prev: second.id });
      const afterFirst = claim({ stream, version: 2, prev: first.id });
      await core.append(core.catalog(0), first, second, afterSecond, afterFirst);
      await core.settled();
      expect(await acceptedOf(core, stream)).toEqual([[1, first.id], [2, afterFirst.id]]); // prettier-ignore
      expect(await reported(lost, 2)).toHaveLength(2);
      expect(lost().every(({ alarm }) => !alarm)).toBe(true);
    });

    it.each([
      [
        'of the right version that follows another record',
        { version: 2, prev: '0198c0de-0000-7000-8000-000000000000' },
      ],
      ['of the right version that follows nothing', { version: 2, prev: '' }],
      ['of a version too far that follows the head', { version: 3 }],
      ["of the head's own version that follows the head", { version: 1 }],
    ])('and a claim %s loses', async (_, wrong) => {
      const { core, lost } = common();
      const stream = core.streamIn(1);
      const head = claim({ stream });
      const next = claim({ stream, version: 2, prev: head.id });
      await core.append(core.catalog(1), head, claim({ stream, prev: head.id, ...wrong }), next);
      await core.settled();
      expect(await acceptedOf(core, stream)).toEqual([[1, head.id], [2, next.id]]); // prettier-ignore
      expect(await reported(lost, 1)).toHaveLength(1);
    });

    it('and a stream that begins after a gap loses', async () => {
      const { core, lost } = common();
      const stream = core.streamIn(0);
      await core.append(core.catalog(0), claim({ stream, version: 2, prev: '' }), claim({ stream, version: 0 }));
      await core.settled();
      expect(await acceptedOf(core, stream)).toEqual([]);
      expect(await reported(lost, 2)).toHaveLength(2);
    });

    it('and its duplicates lose, in its own batch and in later ones', async () => {
      const { core, lost } = common();
      const stream = core.streamIn(0);
      const [one, two] = chain(stream, ['a', 'b']);
      await core.append(core.catalog(0), one!, one!);
      await core.settled();
      await core.append(core.catalog(0), one!, two!, two!, one!);
      await core.settled();
      expect(await acceptedOf(core, stream)).toEqual([[1, one!.id], [2, two!.id]]); // prettier-ignore
      expect((await albumsOf(core)).filter(({ id }) => id === stream)).toMatchObject([{ version: 2, name: 'b' }]);
      expect(await reported(lost, 4)).toHaveLength(4);
    });
  });

  it.each<[string, (core: Core, stream: string) => LogRecord]>([
    ['of another partition', (core) => claim({ stream: core.streamIn(1) })],
    ['of another topic', (core) => claim({ stream: core.streamIn(0).replace('album', 'playlist') })],
    ['of a stream whose id no index holds', (core) => claim({ stream: longStream(core) })],
    ['of no known category', () => claim({ stream: 'thing-1' })],
    ['without headers', (_, key) => ({ key, value: Buffer.from('{}'), headers: {} })],
    ['without a checksum', (_, stream) => withoutHeader(claim({ stream }), 'ce_checksum')],
    ['with a header of a form that OpenMusic never writes', (_, stream) => claim({ stream, prev: 'yesterday' })],
    ['without key or value', () => ({ key: '', value: Buffer.alloc(0), headers: {} })],
  ])('a record %s loses, raises an alarm and delays no other record', async (_, make) => {
    const { core, lost } = common();
    const stream = core.streamIn(0);
    const [one, two] = chain(stream, ['a', 'b']);
    await core.append(core.catalog(0), one!, make(core, stream), two!);
    await core.settled();
    expect((await reported(lost, 1)).map(({ alarm }) => alarm)).toEqual([true]);
    expect(await acceptedOf(core, stream)).toEqual([[1, one!.id], [2, two!.id]]); // prettier-ignore
    expect(core.projectors!.health()).toMatchObject({ stopped: [] });
  });

  describe('rows and checkpoint move in one transaction', () => {
    it('with either of two projectors on the same partitions first', async () => {
      const { core, hand: one } = await openWithHand();
      const two = await openHand(core);
      const streams = [0, 1, 0, 1].map((partition) => core.streamIn(partition));
      for (let round = 0; round < 5; round++) {
        for (const stream of streams) {
          const from = (await acceptedOf(core, stream)).at(-1) as [number, string] | undefined;
          const records = chain(stream, ['a', 'b'], from && { version: from[0], id: from[1] });
          await core.append(core.placement.place(stream), ...records);
        }
        await Promise.all([one.catchUp(), two.catchUp()]);
      }
      for (const stream of streams)
        expect((await acceptedOf(core, stream)).map(([version]) => version)).toEqual(numbers(10));
      expect((await albumsOf(core)).map(({ version }) => version)).toEqual([10, 10, 10, 10]);
      for (const end of await core.log.ends(core.placement.all))
        expect((await checkpointOf(core, end)).next).toBe(end.offset);
    });

    it('so that a zombie writes nothing, forgets its heads and continues where the other projector is', async () => {
      const core = await open({ projecting: false });
      const pause = pausable();
      const zombie = await openHand(core, { wrap: pause.wrap });
      const other = await openHand(core);
      const stream = core.streamIn(0);
      const records = chain(stream, ['a', 'b', 'c']);
      await core.append(core.catalog(0), records[0]!);
      pause.hold();
      const stepping = zombie.step();
      await pause.reached();
      await other.catchUp();
      await core.append(core.catalog(0), records[1]!);
      await other.catchUp();
      pause.release();
      await stepping;
      expect(pause.outcomes).toEqual(['missed']);
      expect(zombie.projector.positions()).toContainEqual({ ...core.catalog(0), offset: 3 });
      await core.append(core.catalog(0), claim({ stream, version: 2, prev: records[0]!.id }), records[2]!);
      await zombie.catchUp();
      expect(await acceptedOf(core, stream)).toEqual(records.map(({ id }, index) => [index + 1, id]));
      expect(pause.outcomes.at(-1)).toEqual({ onlyServing: true });
    });

    it('so that heads remembered before a missed commit judge nothing after it', async () => {
      const { core, hand: one } = await openWithHand();
      const two = await openHand(core);
      const stream = core.streamIn(0);
      const [first, second] = chain(stream, ['a', 'b']);
      await core.append(core.catalog(0), first!);
      await one.catchUp(); // remembers the head
      await core.append(core.catalog(0), second!);
      await two.catchUp();
      const [late, third] = [
        claim({ stream, version: 2, prev: first!.id }),
        claim({ stream, version: 3, prev: second!.id }),
      ];
      await core.append(core.catalog(0), late, third);
      await one.catchUp();
      expect(await acceptedOf(core, stream)).toEqual([[1, first!.id], [2, second!.id], [3, third.id]]); // prettier-ignore
    });

    it('so that an unknown outcome of the commit duplicates nothing and loses nothing', async () => {
      const proxy = await startCuttingProxy(database.connection);
      closing.push(() => proxy.close());
      const cutting = (store: ProjectionStore): ProjectionStore => ({
        ...store,
        commit(commit) {
          if (commit.accepted.length > 0) proxy.cutNextAnswer();
          return store.commit(commit);
        },
      });
      const core = await open({ projecting: false });
      const records = chain(core.streamIn(0), ['a', 'b', 'c']);
      const cut = await openHand(core, { connection: proxy.connection, wrap: cutting });
      await core.append(core.catalog(0), ...records);
      await expect(cut.step()).rejects.toThrow('terminated');
      expect(await acceptedOf(core, records[0]!.key)).toHaveLength(3); // the commit had happened
      await cut.catchUp();
      expect(await acceptedOf(core, records[0]!.key)).toEqual(records.map(({ id }, index) => [index + 1, id]));
      expect(await albumsOf(core)).toMatchObject([{ version: 3, name: 'c' }]);
    });

    it('so that a failed commit stores neither', async () => {
      let broken = true;
      const { core, hand } = await openWithHand({
        wrap: (store) => ({
          ...store,
          commit: (commit) => (broken ? Promise.reject(new Error('no way')) : store.commit(commit)),
        }),
      });
      const records = chain(core.streamIn(0), ['a', 'b']);
      await core.append(core.catalog(0), ...records);
      const before = await checkpointsOf(core);
      await expect(hand.step()).rejects.toThrow('no way');
      expect(await checkpointsOf(core)).toEqual(before);
      expect(await acceptedOf(core, records[0]!.key)).toEqual([]);
      broken = false;
      await hand.catchUp();
      expect(await acceptedOf(core, records[0]!.key)).toHaveLength(2);
    });

    it('and a join clears the remembered state', async () => {
      const heads: string[][] = [];
      const { core, hand } = await openWithHand({
        wrap: (store) => ({ ...store, heads: (streams, at) => (heads.push([...streams]), store.heads(streams, at)) }),
      });
      const stream = core.streamIn(0);
      const records = chain(stream, ['a', 'b', 'c', 'd']);
      const asked = () => heads.filter((each) => each.includes(stream)).length;
      await core.append(core.catalog(0), records[0]!);
      await hand.catchUp();
      await core.append(core.catalog(0), records[1]!);
      await hand.catchUp();
      expect(asked()).toBe(0);
      await hand.assigned();
      await core.append(core.catalog(0), records[2]!);
      await hand.catchUp();
      expect(asked()).toBe(1);
      expect(await acceptedOf(core, stream)).toHaveLength(3);
    });

    it('and a stream that was assumed to be new is found to exist', async () => {
      const { core, hand } = await openWithHand();
      const stream = core.streamIn(0);
      const records = chain(stream, ['a', 'b', 'c']);
      await core.append(core.catalog(0), ...records.slice(0, 2));
      await hand.catchUp();
      await hand.assigned(); // nothing is remembered
      const late = claim({ stream });
      await core.append(core.catalog(0), records[0]!, late, claim({ stream: core.streamIn(0) }), records[2]!);
      await hand.catchUp();
      expect(await acceptedOf(core, stream)).toEqual(records.map(({ id }, index) => [index + 1, id]));
      expect(await albumsOf(core)).toHaveLength(2);
    });
  });

  describe('a log with gaps stops its partition with an alarm', () => {
    it('when records are missing: others continue, writes there are refused, reads continue', async () => {
      const core = await open();
      const [here, there] = [core.catalog(0), core.catalog(1)];
      const api = await core.openApi();
      const known = await albumIn(core, api, 0);
      await core.stopProjectors();
      // Uses another process: this one may still have its own appends in memory.
      const elsewhere = await source.open(core.connection, core.namespace);
      await elsewhere.append(numbers(5).map(() => ({ ...here, record: claim({ stream: core.streamIn(0) }) })));
      await elsewhere.close();
      const [end] = await core.log.ends([here]);
      await source.deleteBefore(core, here, end!.offset - 2);
      await core.startProjectors();
      expect(await untilStopped(core, here)).toBe('offsets 2 to 4 are missing');
      const other = await albumIn(core, api, 1);
      await api.changeAlbum(other, 'still written');
      await expect(api.changeAlbum(known, 'not written')).rejects.toMatchObject({ code: 'PROJECTION_STOPPED' });
      expect((await albumsOf(core)).map(({ id, name }) => [id, name])).toEqual(
        expect.arrayContaining([[known, 'Parachutes'], [other, 'still written']]), // prettier-ignore
      );
      expect(await api.reads.query({ text: 'SELECT FROM albums' })).toHaveLength(2);
      expect((await checkpointOf(core, there)).stopped).toBeNull();
    });

    it('when the log ends before the checkpoint', async () => {
      const core = await open();
      const where = core.catalog(1);
      await core.append(where, claim({ stream: core.streamIn(1) }));
      await core.settled();
      await core.stopProjectors();
      await moveCheckpoint(core, where, 'next = next + 3');
      await core.startProjectors();
      expect(await untilStopped(core, where)).toBe('the log ends at 2, before the checkpoint');
    });

    it('when another record is at the offset of the last one', async () => {
      const core = await open();
      const where = core.catalog(0);
      await core.append(where, claim({ stream: core.streamIn(0) }));
      await core.settled();
      await core.stopProjectors();
      await moveCheckpoint(core, where, `fingerprint = 'of another record'`);
      await core.startProjectors();
      expect(await untilStopped(core, where)).toMatch(/^at offset 1 was of another record and is .*: another log$/);
    });

    it('and accepts writes again as soon as the log is complete', async () => {
      const core = await open();
      const api = await core.openApi();
      const known = await albumIn(core, api, 0);
      await core.stopProjectors();
      await moveCheckpoint(core, core.catalog(0), 'next = next + 3');
      await core.startProjectors();
      await untilStopped(core, core.catalog(0));
      await core.stopProjectors();
      await moveCheckpoint(core, core.catalog(0), 'next = next - 3');
      await core.startProjectors();
      await until(
        async () => (await checkpointOf(core, core.catalog(0))).stopped === null,
        30_000,
        () => 'it is still noted as stopped',
      );
      expect(await api.changeAlbum(known, 'goes on')).toMatchObject({ version: 2 });
    });
  });

  describe('a record whose headers are corrupt', () => {
    it('is fetched again, and is accepted when it is valid then', async () => {
      const core = await open({ projecting: false });
      const [one, two, three] = chain(core.streamIn(0), ['a', 'b', 'c']);
      await core.append(core.catalog(0), one!, two!, three!);
      const torn = new Set([2]);
      const hand = await openHand(core, {
        read: async (from) =>
          recordsOf(await core.log.read(from)).map((record) =>
            record.partition === 0 && record.topic === core.catalog(0).topic && torn.delete(record.offset)
              ? { ...record, ...withCorruptHeader(record) }
              : record,
          ),
      });
      await hand.catchUp();
      expect(torn.size).toBe(0);
      expect(hand.projector.stopped()).toEqual([]);
      expect(await acceptedOf(core, one!.key)).toHaveLength(3);
    });

    it('stops its partition when it stays corrupt, after everything before it was applied', async () => {
      const core = await open();
      const [one, two] = chain(core.streamIn(0), ['a', 'b']);
      const other = core.streamIn(1);
      await core.append(core.catalog(0), one!, withCorruptHeader(claim({ stream: core.streamIn(0) })), two!);
      await core.append(core.catalog(1), claim({ stream: other }));
      expect(await untilStopped(core, core.catalog(0))).toMatch(/^key and headers sum up to/);
      await core.settled([core.catalog(0)]);
      expect(core.projectorReports.stopped.map(({ position }) => position)).toEqual([
        { ...core.catalog(0), offset: 2 },
      ]);
      expect((await acceptedOf(core, one!.key)).map(([version]) => version)).toEqual([1]);
      expect(await acceptedOf(core, other)).toHaveLength(1);
    });

    it('loses as soon as its position is declared void, and the partition resumes by itself', async () => {
      const core = await open();
      const api = await core.openApi();
      const known = await albumIn(core, api, 0);
      const next = chain(known, ['b'], { version: 1, id: (await acceptedOf(core, known))[0]![1] as string })[0]!;
      await core.append(core.catalog(0), withCorruptHeader(claim({ stream: core.streamIn(0) })), next);
      await untilStopped(core, core.catalog(0));
      await expect(api.changeAlbum(known, 'c')).rejects.toMatchObject({ code: 'PROJECTION_STOPPED' });
      await declareVoid(core.admin, { ...core.catalog(0), offset: 2 }, 'test');
      await core.settled();
      expect(core.projectors!.health().stopped).toEqual([]);
      expect((await reported(() => core.projectorReports.lost, 1)).map(({ reason }) => reason)).toContain(
        'declared void',
      );
      expect((await acceptedOf(core, known)).map(([version]) => version)).toEqual([1, 2]);
      expect(await api.changeAlbum(known, 'c')).toMatchObject({ version: 3 });
    });
  });

  describe('a winner that cannot be decoded or applied', () => {
    const undecodable = Buffer.from([0, 0, 0, 0, 2, 0xff]);
    const unknownSchema = Buffer.from([0, 0, 0, 0x7f, 2, 0]);
    const createdAs = (name: string) => ({ type: 'AlbumCreated', albumId: 'album-1', name, year: 2000 }) as const;

    it.each<[string, (stream: string) => LogRecord & { id: string }, RegExp]>([
      ['a corrupt value', (stream) => corrupted(claim({ stream })), /checksum of the value/],
      ['an unknown schema id', (stream) => claim({ stream, value: unknownSchema }), /schema id 32514 is unknown/],
      ['a payload that does not decode', (stream) => claim({ stream, value: undecodable }), /./],
      ['no frame', (stream) => claim({ stream, value: Buffer.from('{}') }), /Confluent frame/],
      ['a text that Postgres does not hold', (stream) => claim({ stream, event: createdAs('a\0b') }), /NUL/],
      ['a text that no index holds (54000)', withLongAlbum, /index row size/],
    ])('by %s is quarantined alone, and its version counts', async (_, make, reason) => {
      const core = await open();
      const stream = core.streamIn(0);
      const goods = numbers(5).map((n) => core.streamIn(n % 2));
      const bad = make(stream);
      const later = claim({ stream, version: 2, prev: bad.id });
      await Promise.all(
        goods.slice(0, 3).map((good) => core.append(core.placement.place(good), claim({ stream: good }))),
      );
      await core.append(
        core.catalog(0),
        claim({ stream: goods[1]! }),
        bad,
        later,
        ...chain(core.streamIn(0), ['x', 'y']),
      );
      await Promise.all(goods.slice(3).map((good) => core.append(core.placement.place(good), claim({ stream: good }))));
      await core.settled();
      const quarantine = await core.rows<{ stream: string; version: number; reason: string; offset: number }>(
        'quarantine',
      );
      expect(quarantine).toEqual([
        expect.objectContaining({ stream, version: 1, reason: expect.stringMatching(reason) }),
      ]);
      expect(await reported(() => core.projectorReports.quarantined, 1)).toHaveLength(1);
      expect(await acceptedOf(core, stream)).toEqual([[1, bad.id], [2, later.id]]); // prettier-ignore
      expect((await albumsOf(core)).map(({ id }) => id)).not.toContain(stream);
      expect((await albumsOf(core)).filter(({ id }) => goods.includes(id))).toHaveLength(5);
      expect(core.projectors!.health().stopped).toEqual([]);
    });

    it('is found among hundreds of valid ones in one batch when Postgres refuses it (23xxx)', async () => {
      await allow(false);
      const core = await open({ projecting: false, projections: [...projections, refusing] });
      const hand = await openHand(core);
      const streams = numbers(200).map((n) => core.streamIn(n % 2));
      const bad = [17, 18, 123].map((index) => streams[index]!);
      const all = streams.map((stream) => chain(stream, ['a', bad.includes(stream) ? 'refused' : 'b', 'c']));
      for (const version of [1, 2, 3]) {
        for (const partition of [0, 1]) {
          const records = all.map((each) => each[version - 1]!);
          await core.append(
            core.catalog(partition),
            ...records.filter(({ key }) => core.placement.place(key).partition === partition),
          );
        }
        await hand.catchUp();
      }
      const quarantine = await core.rows<{ stream: string; version: number }>('quarantine');
      expect(quarantine.map(({ stream, version }) => [stream, version])).toEqual(
        bad.toSorted().map((stream) => [stream, 2]),
      );
      expect((await core.rows('stream_events')).length - core.placement.all.length).toBe(600);
      const albums = await albumsOf(core);
      expect(albums.filter(({ version }) => version === 3)).toHaveLength(197);
      expect(albums.filter(({ version }) => version === 1).map(({ id }) => id)).toEqual(bad.toSorted());
    });

    it('closes its stream: commands and waiting handlers get STREAM_QUARANTINED, other streams continue', async () => {
      const core = await open();
      const api = await core.openApi();
      const stream = await albumIn(core, api, 0);
      const other = await albumIn(core, api, 0);
      await core.stopProjectors();
      const [, head] = (await acceptedOf(core, stream))[0] as [number, string];
      const bad = claim({ stream, version: 2, prev: head, value: unknownSchema });
      await core.append(core.catalog(0), bad);
      const waiting = api.changeAlbum(stream, 'waits'); // decided on version 1, lost to the bad one
      await core.startProjectors();
      await expect(waiting).rejects.toMatchObject({ code: 'STREAM_QUARANTINED' });
      await expect(api.changeAlbum(stream, 'comes later')).rejects.toMatchObject({ code: 'STREAM_QUARANTINED' });
      expect(await api.changeAlbum(other, 'goes on')).toMatchObject({ version: 2 });
      expect((await albumsOf(core)).find(({ id }) => id === stream)).toMatchObject({ version: 1, name: 'Parachutes' });
    });

    it('is applied by a release with everything that was kept after it, and the rows equal those of a rebuild', async () => {
      await allow(false);
      const core = await open({ projections: [...projections, refusing] });
      const api = await core.openApi();
      const streams = [0, 1].map((partition) => core.streamIn(partition));
      for (const stream of streams) await appendOneByOne(core, chain(stream, ['fine', 'refused', 'fine too', 'last']));
      expect((await core.rows('quarantine')).length).toBe(2);
      expect(await core.rows('refusing')).toEqual(streams.toSorted().map((id) => ({ id, name: 'fine' })));
      const owner = openProjectorDatabase(core.rebuildOptions, await core.serving());
      closing.push(() => owner.stop());
      expect(await release(owner, core.rebuildOptions.projections, streams[0]!)).toMatchObject({ version: 2 });
      await allow(true);
      for (const stream of streams)
        expect(await release(owner, core.rebuildOptions.projections, stream)).toBeUndefined();
      expect(await core.rows('refusing')).toEqual(streams.toSorted().map((id) => ({ id, name: 'last' })));
      expect(await api.changeAlbum(streams[0]!, 'and open again')).toMatchObject({ version: 5 });
      expect(await release(owner, core.rebuildOptions.projections, streams[0]!)).toBeUndefined();
      const result = await rebuild(core.rebuildOptions, new AbortController().signal);
      expect(result).toMatchObject({ differences: [], served: true });
    });

    it('stays quarantined after a release while it cannot be applied, from the first such version on', async () => {
      await allow(false);
      const core = await open({ projections: [...projections, refusing] });
      const stream = core.streamIn(0);
      const [one, two, three, four] = chain(stream, ['refused', 'b', 'c', 'd']);
      const bad = { ...claim({ stream, version: 4, prev: three!.id, value: undecodable }), id: four!.id };
      await appendOneByOne(core, [one!, two!, three!, bad]);
      await allow(true);
      const owner = openProjectorDatabase(core.rebuildOptions, await core.serving());
      closing.push(() => owner.stop());
      const still = await release(owner, core.rebuildOptions.projections, stream);
      expect(still).toMatchObject({ stream, version: 4 });
      expect(await listQuarantine(owner)).toMatchObject([{ version: 4 }]);
      expect(await core.rows('refusing')).toEqual([{ id: stream, name: 'c' }]);
      expect(await rebuild(core.rebuildOptions, new AbortController().signal)).toMatchObject({ differences: [] });
    });

    it('is tried again at every start', async () => {
      await allow(false);
      const core = await open({ projections: [...projections, refusing] });
      const stream = core.streamIn(0);
      await appendOneByOne(core, chain(stream, ['refused', 'b']));
      await core.stopProjectors();
      await core.startProjectors();
      expect(await core.rows('quarantine')).toHaveLength(1);
      await core.stopProjectors();
      await allow(true);
      await core.startProjectors();
      expect(await core.rows('quarantine')).toHaveLength(0);
      expect(await core.rows('refusing')).toEqual([{ id: stream, name: 'b' }]);
    });

    it('does not let a projector that remembers the closed stream quarantine what follows the release', async () => {
      await allow(false);
      const core = await open({ projecting: false, projections: [...projections, refusing] });
      const hand = await openHand(core);
      const stream = core.streamIn(0);
      const records = chain(stream, ['refused', 'b', 'c']);
      await core.append(core.catalog(0), records[0]!);
      await hand.catchUp(); // remembers that the stream is closed
      await allow(true);
      const owner = openProjectorDatabase(core.rebuildOptions, await core.serving());
      closing.push(() => owner.stop());
      expect(await release(owner, core.rebuildOptions.projections, stream)).toBeUndefined();
      await core.append(core.catalog(0), records[1]!, records[2]!);
      await hand.catchUp();
      expect(await core.rows('refusing')).toEqual([{ id: stream, name: 'c' }]);
      expect(await core.rows('quarantine')).toEqual([]);
    });
  });

  it('judges a record by its own headers, and keeps only those: headers added by tracing or a mirror change nothing', async () => {
    const { core, lost } = common();
    const before = lost().length;
    const [one, two] = chain(core.streamIn(0), ['a', 'b']);
    const traced = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'a=1' };
    const added = ({ headers, ...record }: LogRecord): LogRecord => ({
      ...record,
      headers: { ...traced, ...headers, 'x-mirrored-from': 'elsewhere', CE_ID: 'of another name' },
    });
    await core.append(core.catalog(0), added(one!), added(two!));
    await core.settled();
    const rows = (await core.rows('stream_events')).filter(({ stream }) => stream === one!.key);
    expect(rows.map(({ record_id, headers }) => [record_id, headers])).toEqual([
      [one!.id, one!.headers],
      [two!.id, two!.headers],
    ]);
    expect(await albumsOf(core)).toContainEqual(expect.objectContaining({ id: one!.key, name: 'b' }));
    expect(lost().slice(before)).toEqual([]);
    expect((await verifyLog({ ...core, voids: [] })).faults).toEqual([]);
  });

  it('judges a later record of a genesis stream like any other, and creates no rows for it', async () => {
    const core = await open();
    const where = core.catalog(0);
    const [genesis] = recordsOf(await core.log.read({ ...where, offset: 0 }));
    const prev = genesis!.headers.ce_id!;
    const stream = core.placement.genesisOf(where);
    const owner = { systemIdentifier: '7512345678901234567', databaseOid: '16384' };
    const event: OwnerChanged = {
      type: 'OwnerChanged',
      incarnation: prev,
      ...where,
      owner,
      previousOwner: null,
      reason: 'adopted',
      at: '2026-01-01T00:00:00.000Z',
    };
    const tables = async () => Promise.all(projections.map(async ({ table }) => (await core.rows(table.name)).length));
    const before = await tables();
    const changed = claim({ stream, version: 2, prev, event });
    const late = claim({ stream, version: 2, prev, event });
    const elsewhere = claim({ stream, version: 3, prev: changed.id, event });
    await core.append(where, changed, late);
    await core.append(core.catalog(1), elsewhere);
    await core.settled();
    expect(await acceptedOf(core, stream)).toEqual([
      [1, prev],
      [2, changed.id],
    ]);
    expect(await tables()).toEqual(before);
    const { partitions, faults } = await verifyLog({ ...core, voids: [] });
    expect(faults).toEqual([expect.stringContaining('partitions belong to different databases')]);
    expect(partitions.find(({ topic, partition }) => topic === where.topic && partition === 0)).toMatchObject({
      owner,
      winners: 2,
      losers: { 'lost the race': 1 },
    });
    const again = await rebuild(core.rebuildOptions, new AbortController().signal);
    expect(again.differences).toEqual([]);
  });

  it('gives the same rows to a generation that is made from the same log, with losers, quarantine and voids', async () => {
    const { core, hand } = await openWithHand();
    const [a, b] = [core.streamIn(0), core.streamIn(1)];
    const bad = claim({ stream: core.streamIn(0), value: Buffer.from('{}') });
    await core.append(core.catalog(0), ...chain(a, ['a', 'b']), claim({ stream: a }), bad, claim({ stream: b }));
    await core.append(
      core.catalog(1),
      ...chain(b, ['a', 'b', 'c']),
      withCorruptHeader(bad),
      claim({ stream: core.streamIn(1) }),
    );
    await declareVoid(core.admin, { ...core.catalog(1), offset: 4 }, 'test');
    await hand.assigned();
    await hand.catchUp();
    const again = await core.admin.use((client) => createGeneration(client, { ...core.rebuildOptions, version: 2 }));
    const other = await openHand(core, {}, again);
    await other.catchUp();
    const { schema } = await core.serving();
    const sums = (of: string) => core.admin.use((client) => tableChecksums(client, of, projections));
    expect(await sums(again.schema)).toEqual(await sums(schema));
  });

  async function albumIn(core: Core, api: Awaited<ReturnType<Core['openApi']>>, partition: number): Promise<string> {
    const stream = core.streamIn(partition);
    const commandId = stream.replace('album-', '').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    await api.createAlbum('Parachutes', { commandId });
    return stream;
  }

  /** Rows are folded by batch, so a row that Postgres rejects must arrive alone. */
  async function appendOneByOne(core: Core, records: readonly LogRecord[]): Promise<void> {
    for (const record of records) {
      await core.append(core.placement.place(record.key), record);
      await core.settled();
    }
  }

  async function moveCheckpoint(core: Core, { topic, partition }: TopicPartition, set: string): Promise<void> {
    const { schema } = await core.serving();
    const text = `UPDATE "${schema}".checkpoints SET ${set} WHERE topic = $1 AND partition = $2`;
    await core.admin.query({ text, values: [topic, partition] });
  }

  /** Whether the database accepts albums with the name of `refused`. */
  async function allow(all: boolean): Promise<void> {
    const core = await openPlain();
    await core.query(`CREATE OR REPLACE FUNCTION public.allowed(name text) RETURNS boolean
      LANGUAGE sql AS $$ SELECT ${all} OR name <> 'refused' $$`);
    await core.end();
  }

  async function openPlain() {
    const { default: pg } = await import('pg');
    const client = new pg.Client(database.connection);
    await client.connect();
    return client;
  }
}

const corrupted = (record: LogRecord & { id: string }) => ({ ...withCorruptValue(record), id: record.id });

/** Random, because Postgres compresses index entries. */
const longText = () => randomBytes(4_000).toString('hex');

function withLongAlbum(stream: string) {
  const details = { title: 'a', year: 2000, genre: 'b', performer: 'c', duration: null, albumId: longText() };
  return claim({ stream, event: { type: 'SongCreated', songId: stream, ...details } });
}

/** In partition 0, like all the others. */
function longStream(core: Core): string {
  const stream = `album-${longText()}`;
  return core.placement.place(stream).partition === 0 ? stream : longStream(core);
}

/** A store whose commits can be delayed between judging and committing. */
function pausable() {
  const outcomes: CommitOutcome[] = [];
  let held: PromiseWithResolvers<void> | undefined;
  let arrived = Promise.withResolvers<void>();
  return {
    outcomes,
    hold() {
      held = Promise.withResolvers();
      arrived = Promise.withResolvers();
    },
    release: () => held?.resolve(),
    /** Resolves when a commit is delayed. */
    reached: () => arrived.promise,
    wrap: (store: ProjectionStore): ProjectionStore => ({
      ...store,
      async commit(commit) {
        arrived.resolve();
        await held?.promise;
        const outcome = await store.commit(commit);
        outcomes.push(outcome);
        return outcome;
      },
    }),
  };
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
