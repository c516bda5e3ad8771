import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { newId } from '../../src/events/ids.ts';
import { openDiskFiles } from '../../src/providers/files/disk.ts';
import type { Files } from '../../src/providers/files/files.ts';
import { sweep, sweepOld, type SweepOptions } from '../../src/providers/files/sweep.ts';
import { coversAmong } from '../../src/projections/albums.ts';
import { tellsAll } from '../../src/projections/generations/guard.ts';
import {
  type Api,
  claim,
  type Core,
  openCore,
  originOf,
  withCorruptHeader,
  withCorruptValue,
} from '../support/core.ts';
import {
  type CoverServer,
  FAST_HOURS,
  coverUrlOf,
  fetched,
  namesIn,
  newAlbum,
  startCoverServer,
  upload,
} from '../support/covers.ts';
import { httpApp } from '../support/http-app.ts';
import { png } from '../support/images.ts';
import { namesOf } from '../support/stored-files.ts';
import { eventually, linesOf } from '../support/observed.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

const LONG_AGO = new Date(Date.now() - 7_200_000);
const YEARS_AGO = new Date(Date.now() - 10 ** 11);

describe('a sweep over the read model', () => {
  let database: TestDatabase;
  const undo: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterEach(async () => {
    for (const each of undo.splice(0).reverse()) await each();
  });
  afterAll(() => database.drop());

  interface World {
    readonly core: Core;
    readonly api: Api;
    readonly files: Files;
    /** Stores a file that is old already, and returns its name. */
    keep(at?: Date): Promise<string>;
    /** The removed names, and the remaining ones. */
    sweep(): Promise<[string[], string[]]>;
  }

  async function open(): Promise<World> {
    const directory = await mkdtemp(path.join(tmpdir(), 'openmusic-sweep-'));
    undo.push(() => rm(directory, { recursive: true }));
    const core = await openCore({ connection: database.connection });
    undo.push(() => core.close());
    const [files, api] = [await openDiskFiles(directory), await core.openApi()];
    const named: SweepOptions['named'] = async (names) =>
      (await tellsAll(api.reads, await core.log.ends(core.placement.all))) ? coversAmong(api.reads, names) : undefined;
    return {
      core,
      api,
      files,
      async keep(at = LONG_AGO) {
        const name = `covers/${newId()}.png`;
        await files.put(name, png(), 'image/png');
        await utimes(path.join(directory, name), at, at);
        return name;
      },
      async sweep() {
        const removed = await sweep({ files, prefix: 'covers/', named, now: Date.now });
        return [removed.sort(), await namesOf(files)];
      },
    };
  }

  const coverOf = (file: string) => ({ file, mediaType: 'image/png', size: 100 });
  const changed = (file: string) => ({ type: 'AlbumCoverChanged', albumId: 'album-1', ...coverOf(file) }) as const;

  async function giveCover({ api }: World, album: string, file: string): Promise<void> {
    const command = { type: 'ChangeCover', cover: coverOf(file) } as const;
    await api.commands.album({ stream: album, origin: originOf(), command });
  }

  it('removes files that no album has, and keeps a current cover of any age', async () => {
    const world = await open();
    const { id: album } = await world.api.createAlbum();
    const { id: deleted } = await world.api.createAlbum();
    const [nobodys, replaced, current, ofDeleted] = [await world.keep(), await world.keep(), await world.keep(YEARS_AGO), await world.keep()]; // prettier-ignore
    const young = await world.keep(new Date(Date.now() - 3_500_000));
    await giveCover(world, album, replaced);
    await giveCover(world, album, current);
    await giveCover(world, deleted, ofDeleted);
    await world.api.commands.album({ stream: deleted, origin: originOf(), command: { type: 'DeleteAlbum' } });
    expect(await world.sweep()).toEqual([[nobodys, replaced, ofDeleted].sort(), [current, young].sort()]);
    expect(await world.sweep()).toEqual([[], [current, young].sort()]);
  });

  it('removes a replaced cover once no process shows it any more', async () => {
    const world = await open();
    const { app } = httpApp({ database: (await world.core.openApi()).reads, files: world.files });
    undo.push(() => app.close());
    const { id: album } = await world.api.createAlbum();
    const [replaced, current] = [await world.keep(), await world.keep()];
    const statuses = async () =>
      Promise.all([replaced, current].map(async (name) => (await app.inject({ url: `/${name}` })).statusCode));
    expect(await statuses()).toEqual([404, 404]);
    await giveCover(world, album, replaced);
    expect(await statuses()).toEqual([200, 404]);
    await giveCover(world, album, current);
    expect(await statuses()).toEqual([404, 200]);
    await world.api.commands.album({ stream: album, origin: originOf(), command: { type: 'DeleteAlbum' } });
    expect(await statuses()).toEqual([404, 404]);
    expect(await world.sweep()).toEqual([[replaced, current].sort(), []]);
  });

  it('removes nothing while the read model is behind the log', async () => {
    const world = await open();
    const { core } = world;
    const [named, nobodys] = [await world.keep(), await world.keep()];
    const created = claim({ stream: core.streamIn(0) });
    await core.append(core.catalog(0), created);
    await core.settled();
    await core.stopProjectors();
    const change = claim({ stream: created.headers.ce_subject!, version: 2, prev: created.id, event: changed(named) });
    await core.append(core.catalog(0), change);
    expect(await world.sweep()).toEqual([[], [named, nobodys].sort()]);
    await core.startProjectors();
    await core.settled();
    expect(await world.sweep()).toEqual([[nobodys], [named]]);
  });

  it('removes nothing while a partition is stopped', async () => {
    const world = await open();
    const { core } = world;
    const before = await world.keep();
    expect(await world.sweep()).toEqual([[before], []]);
    const [named, nobodys] = [await world.keep(), await world.keep()];
    const created = claim({ stream: core.streamIn(0) });
    const change = claim({ stream: created.headers.ce_subject!, version: 2, prev: created.id, event: changed(named) });
    await core.append(core.catalog(0), created, withCorruptHeader(claim({ stream: core.streamIn(0) })), change);
    await eventually('the partition is stopped', async () => {
      const checkpoints = await core.rows<{ stopped: string | null }>('checkpoints');
      return checkpoints.some(({ stopped }) => stopped !== null);
    });
    expect(await world.sweep()).toEqual([[], [named, nobodys].sort()]);
  });

  it('removes nothing while a stream is quarantined', async () => {
    const world = await open();
    const { core } = world;
    const [named, nobodys] = [await world.keep(), await world.keep()];
    const created = claim({ stream: core.streamIn(1) });
    const stream = created.headers.ce_subject!;
    const broken = { ...withCorruptValue(claim({ stream, version: 2, prev: created.id })) };
    const change = claim({ stream, version: 3, prev: broken.headers.ce_id!, event: changed(named) });
    await core.append(core.catalog(1), created, broken, change);
    await core.settled();
    expect(await core.rows('quarantine')).toHaveLength(1);
    expect(await world.sweep()).toEqual([[], [named, nobodys].sort()]);
  });
});

it('removes old results and partial files from the disk, even if they are still referenced', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'openmusic-results-'));
  const files = await openDiskFiles(directory);
  const days = (count: number) => new Date(Date.now() - count * 86_400_000);
  const aged = async (name: string, at: Date) => {
    await files.put(name, png(), 'application/json');
    await utimes(path.join(directory, name), at, at);
  };
  await aged('exports/old.json', days(31));
  await aged('exports/young.json', days(29));
  await aged('exports/left.json.0f.part', LONG_AGO);
  await aged('exports/now.json.0f.part', new Date());
  await aged('covers/old.png', days(31));
  const removed = await sweepOld({ files, prefix: 'exports/', olderThanMs: 30 * 86_400_000, now: Date.now });
  expect(removed.sort()).toEqual(['exports/left.json.0f.part', 'exports/old.json']);
  expect(await namesOf(files)).toEqual(['covers/old.png', 'exports/now.json.0f.part', 'exports/young.json']);
  await rm(directory, { recursive: true });
});

describe('a sweeping process', () => {
  let server: CoverServer;
  let client: pg.Client;
  beforeAll(async () => {
    server = await startCoverServer({}, FAST_HOURS);
    client = new pg.Client(server.connection);
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await server.stop();
  });

  async function leave(name: string): Promise<void> {
    const file = path.join(server.directory, name);
    await writeFile(file, png());
    await utimes(file, LONG_AGO, LONG_AGO);
  }

  const isThere = async (name: string) => (await namesIn(server.directory)).includes(name);

  async function hoursPassed(count: number): Promise<void> {
    const hours = () => linesOf(server.process, 'an hour passed').length;
    const until = hours() + count;
    await eventually(`${count} hours pass`, () => hours() >= until);
  }

  it('removes old files that no album has, unless a stream is quarantined', async () => {
    const album = await newAlbum(server.client);
    await upload(server.client, album, png());
    const url = await coverUrlOf(server.client, album);
    await utimes(path.join(server.directory, path.basename(url)), YEARS_AGO, YEARS_AGO);
    await leave('first.png');
    await eventually('the first file is gone', async () => !(await isThere('first.png')));
    const { rows } = await client.query<{ schema: string }>(
      `SELECT schemaname AS schema FROM pg_tables WHERE tablename = 'quarantine'`,
    );
    const quarantine = `"${rows[0]!.schema}".quarantine`;
    await client.query(
      `INSERT INTO ${quarantine} (stream, version, record_id, topic, partition, "offset", reason)
       VALUES ('album-x', 1, gen_random_uuid(), 't', 0, 0, 'a test')`,
    );
    await leave('second.png');
    await hoursPassed(3);
    expect(await isThere('second.png')).toBe(true);
    await client.query(`DELETE FROM ${quarantine}`);
    await eventually('the second file is gone', async () => !(await isThere('second.png')));
    expect((await fetched(url)).status).toBe(200);
  });
});
