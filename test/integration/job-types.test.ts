import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import { fromBufferPromise } from 'yauzl';
import type { Commands } from '../../src/commands/commands.ts';
import type { PlaylistCommand } from '../../src/commands/playlist.ts';
import { unavailable } from '../../src/errors.ts';
import { newId, idFromCommand } from '../../src/events/ids.ts';
import { retryFailedItems, createItems, type Items } from '../../src/jobs/items.ts';
import type {
  JobFailure,
  JobPlan,
  JobType,
  PlanContext,
  Progress,
  JobServices,
  Work,
} from '../../src/jobs/job-type.ts';
import { createRefusals } from '../../src/jobs/refusals.ts';
import { archive } from '../../src/jobs/types/archive.ts';
import { emailBatch } from '../../src/jobs/types/email-batch.ts';
import { exportPlaylist } from '../../src/jobs/types/export-playlist.ts';
import { importCatalog } from '../../src/jobs/types/import-catalog.ts';
import { report } from '../../src/jobs/types/report.ts';
import type { Client } from '../../src/postgres/pool.ts';
import { openDiskFiles } from '../../src/providers/files/disk.ts';
import { ProviderError } from '../../src/providers/failure.ts';
import type { Files } from '../../src/providers/files/files.ts';
import { type Api, type Core, openCore, originOf } from '../support/core.ts';
import { keepItems, requestOf } from '../support/jobs.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

let database: TestDatabase;
let core: Core;
let api: Api;
let directory: string;
let scratch: string;
let files: Files;
/** Account id, different for every test. */
let owner: string;

beforeAll(async () => {
  database = await createDatabase();
  core = await openCore({ connection: database.connection });
  api = await core.openApi();
  directory = await mkdtemp(path.join(tmpdir(), 'openmusic-job-types-'));
  scratch = await mkdtemp(path.join(directory, 'scratch-'));
  files = await openDiskFiles(path.join(directory, 'files'));
});
beforeEach(() => {
  owner = `user-${newId()}`;
});
afterAll(async () => {
  await core.close();
  await database.drop();
  await rm(directory, { recursive: true });
});

const DAY_MS = 86_400_000;
const never = new AbortController().signal;

/** An accepted job. */
interface Asked {
  readonly jobId: string;
  readonly type: JobType;
  readonly plan: JobPlan;
}

async function ask(type: JobType, payload: unknown, context: Partial<PlanContext> = {}): Promise<Asked> {
  const jobId = idFromCommand('job', newId());
  const mail = { enabled: [], default: '' };
  const positionOf = () => Promise.resolve(undefined);
  const known = {
    jobId,
    caller: owner,
    isAdmin: false,
    database: api.reads,
    positionOf,
    files,
    mail,
    dummySeconds: 30,
  };
  const plan = await type.plan(type.payload.parse(payload), { ...known, ...context });
  await keepItems(core.admin, jobId, plan.items ?? []);
  return { jobId, type, plan };
}

interface AttemptAt extends Partial<JobServices> {
  readonly attempt?: number;
  readonly ownerIsAdmin?: boolean;
  readonly signal?: AbortSignal;
  readonly items?: Items;
  progress?(progress: Progress): void;
}

/** An attempt at it, as a worker would make it. */
function work(
  { jobId, type, plan }: Asked,
  { attempt = 1, ownerIsAdmin = false, signal = never, items, progress, ...tools }: AttemptAt = {},
) {
  const given: Work = {
    jobId,
    ownerId: owner,
    ownerIsAdmin,
    attempt,
    allowed: 5,
    pauses: { firstMs: 1, maxMs: 1 },
    signal,
    parameters: JSON.parse(JSON.stringify(plan.parameters)),
    payload: JSON.parse(JSON.stringify(plan.payload ?? null)),
    provider: undefined,
    items: items ?? createItems(core.admin, jobId),
    mustBeAllowed: () => Promise.resolve(),
    progress: (each) => Promise.resolve(progress?.(each)),
    once: async (_, act) => {
      await act();
    },
  };
  const send = () => Promise.reject(new Error('nothing is to be mailed'));
  const free = {
    claim: () => Promise.resolve(),
    mailTurn: () => Promise.resolve(),
    dummySeconds: 30,
    noteRefusal: createRefusals(core.admin, DAY_MS),
    failedDomainOf: () => undefined,
    attemptMs: 600_000,
  };
  return type.work(given, { database: api.reads, commands: api.commands, files, send, scratch, ...free, ...tools });
}

const itemsOf = ({ jobId }: Asked) =>
  core.admin.query<{ item: number; state: string; error: string | null }>({
    text: 'SELECT item, state, error FROM job_items WHERE payload_id = $1 ORDER BY item',
    values: [jobId],
  });

async function contentOf(name: string): Promise<Buffer> {
  const file = await files.open(name);
  if (!file) throw new Error(`${name} is not kept`);
  return buffer(await file.read());
}

/** Stores a file made by a job of that account. Resolves with the file's id. */
async function madeFile(ownerId: string, name: string, content: string): Promise<string> {
  const jobId = idFromCommand('job', newId());
  const stored = `reports/${jobId}.txt`;
  await files.put(stored, Buffer.from(content), 'text/plain');
  const fileId = jobId.replace('job-', 'file-');
  const file = { fileId, stored, name, kind: 'report', mediaType: 'text/plain', size: content.length };
  const request = requestOf({ jobType: 'report', ownerId });
  const about = { stream: jobId };
  await api.commands.job({ ...about, origin: originOf(), command: { type: 'RequestJob', request } });
  await api.commands.job({ ...about, origin: originOf(), command: { type: 'StartAttempt', worker: 'w' } });
  const ended = { attempt: 1, done: 1, total: 1, failed: 0, file, result: '{}' };
  await api.commands.job({ ...about, origin: originOf(), command: { type: 'Complete', ...ended } });
  return fileId;
}

const storedOf = (fileId: string) => `reports/${fileId.replace('file-', 'job-')}.txt`;

async function albumWithCover(content: string): Promise<string> {
  const { id } = await api.createAlbum();
  const file = `covers/${newId()}.png`;
  await files.put(file, Buffer.from(content), 'image/png');
  const cover = { file, mediaType: 'image/png', size: content.length };
  await api.commands.album({ stream: id, origin: originOf(), command: { type: 'ChangeCover', cover } });
  return id;
}

describe('an export', () => {
  it.each([
    ['of a user waits for its turn', false, false, 1],
    ['of an admin does not wait', true, true, 0],
    ['of an admin who has become a user waits for its turn', true, false, 1],
  ])('%s', async (_, isAdmin, ownerIsAdmin, waited) => {
    const playlistId = await newPlaylist('Morning', []);
    const positionOf = () => Promise.resolve({ ownerId: owner, playlistId, version: 1, catalog: [] });
    const context = { isAdmin, positionOf, mail: { enabled: ['smtp'], default: 'smtp' } };
    const asked = await ask(exportPlaylist, { playlistId, targetEmail: 'chris@example.com' }, context);
    const sent: string[] = [];
    const turns: string[] = [];
    await work(asked, {
      ownerIsAdmin,
      mailTurn: ({ to }) => Promise.resolve(void turns.push(to)),
      send: (_provider, { to }) => Promise.resolve((sent.push(to), 'sent')),
    });
    expect([sent.length, turns.length]).toEqual([1, waited]);
  });
});

describe('an archive', () => {
  async function unpacked({ jobId }: Asked): Promise<Record<string, string>> {
    const zip = await fromBufferPromise(await contentOf(`archives/${jobId}.zip`), { lazyEntries: true });
    const found: Record<string, string> = {};
    for await (const entry of zip.eachEntry())
      found[entry.fileName] = await text(await zip.openReadStreamPromise(entry));
    return found;
  }

  const pack = (fileIds: readonly string[], context?: Partial<PlanContext>) => ask(archive, { fileIds }, context);

  it('contains the available files, own ones and covers; the others are failed items', async () => {
    const [mine, foreign] = [await madeFile(owner, 'mine.txt', 'my text'), await madeFile('user-2', 'b.txt', 'secret')];
    const album = await albumWithCover('a picture');
    const bare = (await api.createAlbum()).id;
    const asked = await pack([foreign, mine, 'file-none', album, bare]);
    expect(await work(asked)).toMatchObject({
      done: 2,
      failed: 3,
      total: 5,
      result: { packed: 2, missing: 3 },
      file: { stored: `archives/${asked.jobId}.zip`, kind: 'archive', mediaType: 'application/zip' },
    });
    expect(await unpacked(asked)).toEqual({ 'mine.txt': 'my text', [`${album}.png`]: 'a picture' });
    expect((await itemsOf(asked)).map(({ state }) => state)).toEqual(['failed', 'done', 'failed', 'done', 'failed']);
    expect((await itemsOf(asked))[0]?.error).toBe((await itemsOf(asked))[2]?.error);
    expect(await readdir(scratch)).toEqual([]);
  });

  it('reports its size', async () => {
    const asked = await pack([await madeFile(owner, 'mine.txt', 'my text')]);
    const { file } = await work(asked);
    expect(file?.size).toBe((await contentOf(`archives/${asked.jobId}.zip`)).length);
  });

  it('is not started when none of the files is available to its owner', async () => {
    const gone = await madeFile(owner, 'gone.txt', 'x');
    await files.remove(storedOf(gone));
    const foreign = await madeFile('user-2', 'b.txt', 'secret');
    await expect(pack(['file-none', gone, foreign])).rejects.toMatchObject({ kind: 'rejected', code: 'NO_FILES' });
  });

  it('can contain files of other users when an admin requests it', async () => {
    const asked = await pack([await madeFile('user-2', 'b.txt', 'of another')], { isAdmin: true });
    await work(asked, { ownerIsAdmin: true });
    expect(await unpacked(asked)).toEqual({ 'b.txt': 'of another' });
  });

  it('does not contain files of other users when its owner is no longer an admin', async () => {
    const files = [await madeFile(owner, 'mine.txt', 'my text'), await madeFile('user-2', 'b.txt', 'of another')];
    const asked = await pack(files, { isAdmin: true });
    await work(asked);
    expect(await unpacked(asked)).toEqual({ 'mine.txt': 'my text' });
  });

  it('does not contain them either when its owner became an admin later', async () => {
    const files = [await madeFile(owner, 'mine.txt', 'my text'), await madeFile('user-2', 'b.txt', 'of another')];
    const asked = await pack(files);
    await work(asked, { ownerIsAdmin: true });
    expect(await unpacked(asked)).toEqual({ 'mine.txt': 'my text' });
  });

  it('is started while the available files are unknown', async () => {
    const open = () => Promise.reject(new Error('the store does not answer'));
    const fileId = await madeFile(owner, 'mine.txt', 'my text');
    await expect(pack([fileId], { files: { ...files, open } })).resolves.toMatchObject({ plan: {} });
  });

  it('skips files that were deleted meanwhile', async () => {
    const [one, other] = [await madeFile(owner, 'one.txt', '1'), await madeFile(owner, 'other.txt', '2')];
    const asked = await pack([one, other]);
    await files.remove(storedOf(one));
    expect(await work(asked)).toMatchObject({ result: { packed: 1, missing: 1 } });
    expect((await itemsOf(asked)).map(({ state }) => state)).toEqual(['failed', 'done']);
  });

  it('fails permanently when all files were deleted meanwhile', async () => {
    const fileId = await madeFile(owner, 'one.txt', '1');
    const asked = await pack([fileId]);
    await files.remove(storedOf(fileId));
    await expect(work(asked)).rejects.toMatchObject({ kind: 'permanent', code: 'NO_FILES' });
    expect(await files.open(`archives/${asked.jobId}.zip`)).toBeUndefined();
    expect(await readdir(scratch)).toEqual([]);
  });

  it('stops when it is cancelled, and leaves nothing but unfinished items', async () => {
    const asked = await pack([await madeFile(owner, 'one.txt', '1'), await madeFile(owner, 'other.txt', '2')]);
    const cancelled = new AbortController();
    const progress = () => cancelled.abort(new Error('cancelled'));
    await expect(work(asked, { signal: cancelled.signal, progress })).rejects.toThrow('cancelled');
    expect((await itemsOf(asked)).map(({ state }) => state)).toEqual(['waiting', 'waiting']);
    expect(await files.open(`archives/${asked.jobId}.zip`)).toBeUndefined();
    expect(await readdir(scratch)).toEqual([]);
  });

  it('is made again from the beginning when it was not stored', async () => {
    const asked = await pack([await madeFile(owner, 'one.txt', '1'), await madeFile(owner, 'other.txt', '2')]);
    const putFile = () => Promise.reject(new Error('the store does not answer'));
    await expect(work(asked, { files: { ...files, putFile } })).rejects.toThrow('does not answer');
    await writeFile(path.join(scratch, `${asked.jobId}.1`), 'left behind by a process that was killed');
    expect(await work(asked, { attempt: 2 })).toMatchObject({ result: { packed: 2, missing: 0 } });
    expect(await unpacked(asked)).toEqual({ 'one.txt': '1', 'other.txt': '2' });
    expect(await readdir(scratch)).toEqual([]);
  });

  it('contains all files when the failed ones are retried', async () => {
    const [one, other] = [await madeFile(owner, 'one.txt', '1'), await madeFile(owner, 'other.txt', '2')];
    const asked = await pack([one, other]);
    await files.remove(storedOf(other));
    await work(asked);
    await files.put(storedOf(other), Buffer.from('2'), 'text/plain');
    await retryFailedItems(core.admin, asked.jobId);
    expect(await work(asked, { attempt: 2 })).toMatchObject({ result: { packed: 2, missing: 0 } });
    expect(await unpacked(asked)).toEqual({ 'one.txt': '1', 'other.txt': '2' });
    expect((await itemsOf(asked)).map(({ state }) => state)).toEqual(['done', 'done']);
  });
});

async function newSong(title: string, more: { genre?: string; year?: number } = {}): Promise<string> {
  const origin = originOf();
  const stream = idFromCommand('song', origin.commandId);
  const details = { title, year: 2008, genre: 'Indie', performer: 'Coldplay', duration: null, albumId: null, ...more };
  const context = () => Promise.resolve({ albumExists: true });
  await api.commands.song({ stream, origin, command: { type: 'CreateSong', details }, context });
  return stream;
}

async function inPlaylist(stream: string, command: PlaylistCommand): Promise<void> {
  const song = { title: 'a title', performer: 'a performer', year: 2000 };
  const context = () => Promise.resolve({ song, accountExists: true });
  await api.commands.playlist({ stream, origin: originOf({ actor: owner }), command, context });
}

const addSong = (playlist: string, songId: string) =>
  inPlaylist(playlist, { type: 'AddSong', songId, entryId: newId(), duplicates: 'allow', actor: owner });

async function newPlaylist(name: string, songIds: readonly string[], collaborators = 0): Promise<string> {
  const stream = idFromCommand('playlist', newId());
  await inPlaylist(stream, { type: 'CreatePlaylist', name, actor: owner });
  for (const songId of songIds) await addSong(stream, songId);
  for (let n = 0; n < collaborators; n++) {
    const [accountId, collaborationId] = [`user-${newId()}`, newId()];
    await inPlaylist(stream, { type: 'AddCollaborator', accountId, collaborationId, actor: owner });
  }
  return stream;
}

/** A database that runs an action before a query with this prefix, between two queries of a transaction. */
const meddling = (before: string, act: () => Promise<unknown>): JobServices['database'] => ({
  ...api.reads,
  use: (look) =>
    api.reads.use((client) => {
      const query = async (statement: string, values?: unknown[]) => {
        if (statement.startsWith(before)) await act();
        return client.query(statement, values);
      };
      return look({ query } as unknown as Client);
    }),
});

interface Report {
  readonly catalog: { albums: number; songs: number; genres: object[]; years: object[]; performers: object[] };
  readonly playlists: { id: string; name: string; songs: { id: string }[] }[];
}

describe('a report', () => {
  const jsonOf = async ({ jobId }: Asked) =>
    (JSON.parse((await contentOf(`reports/${jobId}.json`)).toString()) as { report: Report }).report;

  it('summarises the catalog and the playlists of its owner', async () => {
    const yes = await newSong('Yes', { genre: 'Of this test', year: 1812 });
    const no = await newSong('No', { genre: 'Of this test', year: 1812 });
    const gone = await newSong('Gone');
    const morning = await newPlaylist('Morning', [yes, gone, no, yes], 2);
    const empty = await newPlaylist('Empty', []);
    await api.commands.song({ stream: gone, origin: originOf(), command: { type: 'DeleteSong' } });
    const mine = owner;
    owner = 'user-2';
    await newPlaylist('Of another', [yes]);
    owner = mine;

    const asked = await ask(report, {});
    const { result } = await work(asked);
    const { catalog, playlists } = await jsonOf(asked);
    const song = { performer: 'Coldplay' };
    expect(new Set(playlists)).toEqual(
      new Set([
        { id: empty, name: 'Empty', songCount: 0, collaborators: 0, songs: [] },
        {
          id: morning,
          name: 'Morning',
          songCount: 3,
          collaborators: 2,
          songs: [
            { id: yes, title: 'Yes', ...song },
            { id: no, title: 'No', ...song },
            { id: yes, title: 'Yes', ...song },
          ],
        },
      ]),
    );
    expect(catalog.genres).toContainEqual({ name: 'Of this test', songs: 2 });
    expect(catalog.years).toContainEqual({ name: 1812, songs: 2 });
    const [songs, albums] = [(await core.rows('songs')).length, (await core.rows('albums')).length];
    expect(catalog).toMatchObject({ songs, albums, performers: [{ name: 'Coldplay', songs }] });
    expect(result).toEqual({ albums, songs });
    expect(await readdir(scratch)).toEqual([]);
  });

  it('has the same content as CSV', async () => {
    const song = await newSong('=1+1');
    const playlist = await newPlaylist('Evening', [song]);
    const asked = await ask(report, { format: 'csv' });
    const { file } = await work(asked);
    const content = await contentOf(`reports/${asked.jobId}.csv`);
    expect(file).toMatchObject({ name: 'report.csv', mediaType: 'text/csv; charset=utf-8', size: content.length, kind: 'report' }); // prettier-ignore
    const lines: Record<string, string>[] = parse(content, { bom: true, columns: true });
    expect(lines.find(({ section }) => section === 'songs')?.count).toBe(String((await core.rows('songs')).length));
    expect(lines.slice(-2)).toEqual([
      expect.objectContaining({ section: 'playlist', id: playlist, name: 'Evening', count: '1', collaborators: '0' }),
      expect.objectContaining({ section: 'playlist-song', playlist, position: '1', id: song, name: "'=1+1" }),
    ]);
  });

  it('shows one point in time, even if data changes while it is made', async () => {
    const song = await newSong('Before');
    const playlist = await newPlaylist('Night', [song]);
    const happens = async () => {
      await addSong(playlist, await newSong('Meanwhile'));
      await newPlaylist('Later', []);
    };
    const asked = await ask(report, {});
    await work(asked, { database: meddling('DECLARE', happens) });
    const { catalog, playlists } = await jsonOf(asked);
    expect(playlists).toMatchObject([{ id: playlist, songCount: 1, songs: [{ id: song }] }]);
    expect(catalog.songs).toBe((await core.rows('songs')).length - 1);
    expect((await core.rows('playlists')).filter(({ owner_id }) => owner_id === owner)).toHaveLength(2);
  });

  it('is written while it is read, with a few chunks in memory', async () => {
    const ROWS = 10_000;
    const playlist = await newPlaylist('Long', []);
    const song = await newSong('x'.repeat(1_000));
    const { schema } = await core.serving();
    await core.admin.query({
      text: `INSERT INTO "${schema}".playlist_entries (id, playlist_id, order_key, version, song_id)
        SELECT $1 || n, $1, lpad(n::text, 6, '0'), n + 1, $2 FROM generate_series(1, ${ROWS}) n`,
      values: [playlist, song],
    });
    const asked = await ask(report, {});
    const lengths: number[] = [];
    const look = async () => lengths.push((await stat(path.join(scratch, `${asked.jobId}.1`))).size);
    const { file } = await work(asked, { database: meddling('FETCH', look) });
    const piece = file!.size / (lengths.length - 1);
    expect(lengths.length).toBeGreaterThan(20);
    for (const [read, length] of lengths.entries()) expect(length).toBeGreaterThan((read - 4) * piece);
    expect(await jsonOf(asked)).toMatchObject({ playlists: [{ songCount: ROWS, songs: { length: ROWS } }] });
  });

  it('stops when it is cancelled, and leaves nothing', async () => {
    await newPlaylist('Morning', [await newSong('Yes')]);
    const cancelled = new AbortController();
    const asked = await ask(report, {});
    const callOff = async () => {
      cancelled.abort(new Error('cancelled'));
      await Promise.resolve();
    };
    const database = meddling('FETCH', callOff);
    await expect(work(asked, { signal: cancelled.signal, database })).rejects.toThrow();
    expect(await files.open(`reports/${asked.jobId}.json`)).toBeUndefined();
    expect(await readdir(scratch)).toEqual([]);
    await expect(api.reads.query({ text: 'SELECT 1 AS one' })).resolves.toEqual([{ one: 1 }]);
  });
});

describe('an import', () => {
  /** The year of the songs in the report; each test has its own. */
  let year: number;
  beforeAll(() => {
    year = 100_000;
  });
  beforeEach(() => {
    year += 1;
  });

  const rowsOf = async (table: 'albums' | 'songs') =>
    (
      await core.rows<{ id: string; name?: string; title?: string; album_id?: string | null; year: number }>(table)
    ).filter((row) => row.year === year);
  const namesOf = async (table: 'albums' | 'songs') =>
    (await rowsOf(table)).map(({ name, title }) => name ?? title).sort();

  const importing = (lines: readonly object[]) =>
    ask(
      importCatalog,
      { format: 'ndjson', data: lines.map((line) => JSON.stringify(line)).join('\n') },
      { isAdmin: true },
    );
  const album = (name: string) => ({ kind: 'album', name, year });
  const song = (title: string, of?: string) => ({
    kind: 'song',
    title,
    year,
    genre: 'Indie',
    performer: 'Coldplay',
    ...(of !== undefined && { album: of }),
  });
  const numbered = (count: number, name: string) => Array.from({ length: count }, (_, n) => `${name} ${n}`);

  /** The write side with an action before each command. */
  const before = (act: () => Promise<unknown>): Commands => ({
    ...api.commands,
    album: async (request) => (await act(), api.commands.album(request)),
    song: async (request) => (await act(), api.commands.song(request)),
  });

  it('adds albums and songs in order, and reports the lines that it skipped', async () => {
    const data = [
      'kind,name,title,year,genre,performer,duration,album',
      `album,"Viva la Vida",,${year},,,,`,
      `song,,Yes,${year},Indie,Coldplay,240,Viva la Vida`,
      `song,,No,soon,Indie,Coldplay,,Viva la Vida`,
      `song,,Single,${year},Indie,Coldplay,,`,
      `song,,Lost,${year},Indie,Coldplay,,Parachutes`,
      `song,,Unknown,${year},Indie,Coldplay,,album-00000000000000000000000000000000`,
      `single,x`,
    ].join('\r\n');
    const asked = await ask(importCatalog, { format: 'csv', data }, { isAdmin: true });
    expect(JSON.stringify(asked.plan)).not.toContain('Viva');
    const { result, ...progress } = await work(asked);
    expect(result).toEqual({ albums: 1, songs: 2, bad: 4 });
    expect(progress).toEqual({ done: 3, failed: 4, total: 7 });
    const [viva] = await rowsOf('albums');
    expect((await rowsOf('songs')).map(({ title, album_id }) => [title, album_id]).sort()).toEqual(
      [['Single', null], ['Yes', viva?.id]], // prettier-ignore
    );
    expect(await itemsOf(asked)).toEqual([
      { item: 4, state: 'failed', error: 'year must be a whole number of at most 32 bits' },
      { item: 6, state: 'failed', error: expect.stringContaining('in the lines above') },
      { item: 7, state: 'failed', error: 'There is no such album.' },
      { item: 8, state: 'failed', error: 'kind must be album or song' },
    ]);
  });

  it('counts lines with old Macintosh line ends like others', async () => {
    const data = ['sep=;', 'Kind;Name;Year;', `album;A;${year};`, `album;"B\r\n";${year}`, 'album;"C'].join('\r');
    const asked = await ask(importCatalog, { format: 'csv', data }, { isAdmin: true });
    expect(asked.plan).toMatchObject({ parameters: { lines: 6 } });
    expect(await work(asked)).toMatchObject({ done: 2, failed: 1, total: 3 });
    expect(await namesOf('albums')).toEqual(['A', 'B\r\n']);
    expect(await itemsOf(asked)).toEqual([
      { item: 6, state: 'failed', error: 'A quote that begins in this line is not closed.' },
    ]);
  });

  it('processes several lines at once, up to a limit', async () => {
    let [now, most] = [0, 0];
    const counting =
      <Request>(send: (request: Request) => Promise<unknown>) =>
      async (request: Request) => {
        most = Math.max(most, ++now);
        return send(request).finally(() => now--);
      };
    const commands = { ...api.commands, album: counting(api.commands.album) } as Commands;
    await work(await importing(numbered(100, 'At once').map(album)), { commands });
    expect(most).toBe(16);
    expect(await namesOf('albums')).toHaveLength(100);
  });

  it('adds nothing twice, for any number of attempts and any point of failure', async () => {
    const names = numbered(20, 'Album');
    const lines = names.flatMap((name) => [
      album(name),
      song(`${name} 1`, name),
      song(`${name} 2`, name),
      { kind: 'bad' },
    ]);
    const asked = await importing(lines);
    let left = 0;
    const commands = before(() =>
      left-- > 0 ? Promise.resolve() : Promise.reject(unavailable('LOG_UNAVAILABLE', 'No.')),
    );
    for (let attempt = 1; attempt <= 3; attempt++) {
      left = 15 * attempt;
      const ended = work(asked, { attempt, commands });
      await expect(ended).rejects.toMatchObject({ kind: 'unavailable', code: 'LOG_UNAVAILABLE' });
    }
    for (let attempt = 4; attempt <= 5; attempt++)
      expect(await work(asked, { attempt })).toMatchObject({ result: { albums: 20, songs: 40, bad: 20 } });
    expect(await namesOf('albums')).toEqual([...names].sort());
    expect(await namesOf('songs')).toEqual(names.flatMap((name) => [`${name} 1`, `${name} 2`]).sort());
    expect(await itemsOf(asked)).toHaveLength(20);
  });

  it('retries invalid lines on request', async () => {
    const origin = originOf();
    const albumId = idFromCommand('album', origin.commandId);
    const asked = await importing([song('Early', albumId), { kind: 'bad' }]);
    expect(await work(asked)).toMatchObject({ result: { songs: 0, bad: 2 } });
    await api.createAlbum('It comes late', origin);
    await retryFailedItems(core.admin, asked.jobId);
    expect(await work(asked, { attempt: 2 })).toMatchObject({ result: { songs: 1, bad: 1 } });
    expect((await itemsOf(asked)).map(({ state }) => state)).toEqual(['done', 'failed']);
  });

  it('stops when it is cancelled, and reports its progress before', async () => {
    const asked = await importing(numbered(200, 'Called off').map(album));
    const cancelled = new AbortController();
    const reported: Progress[] = [];
    const progress = (each: Progress) => {
      reported.push(each);
      if (each.done === 20) cancelled.abort(new Error('cancelled'));
    };
    await expect(work(asked, { signal: cancelled.signal, progress })).rejects.toThrow('cancelled');
    expect(reported[0]).toEqual({ done: 1, failed: 0, total: 200 });
    expect((await namesOf('albums')).length).toBeLessThan(50);
  });

  it('fails permanently when its file is missing', async () => {
    const asked = await importing([album('Lost')]);
    await files.remove((asked.plan.parameters as { stored: string }).stored);
    await expect(work(asked)).rejects.toMatchObject({ kind: 'permanent', code: 'PAYLOAD_LOST' });
  });

  it('is not started while files cannot be stored', async () => {
    const put = () => Promise.reject(new Error('the disk is full'));
    const refused = ask(importCatalog, { format: 'ndjson', data: '{}' }, { files: { ...files, put } });
    await expect(refused).rejects.toMatchObject({ kind: 'unavailable', code: 'FILES_UNAVAILABLE' });
  });
});

describe('a batch of mails', () => {
  it('does not count a mail as refused when the database cannot store that it was sent', async () => {
    const mail = { enabled: ['smtp'], default: 'smtp' };
    const asked = await ask(emailBatch, { items: [{ to: 'ann@example.com', subject: 's', body: 'b' }] }, { mail });
    const lost = new Error('Connection terminated unexpectedly');
    const items = { ...createItems(core.admin, asked.jobId), done: () => Promise.reject(lost) };
    await expect(work(asked, { items, send: () => Promise.resolve('250 OK') })).rejects.toBe(lost);
    expect(await itemsOf(asked)).toEqual([{ item: 0, state: 'waiting', error: null }]);
  });

  describe('with temporarily refused recipients', () => {
    const mail = { enabled: ['smtp'], default: 'smtp' };
    const mailsTo = (addresses: readonly string[]) => addresses.map((to) => ({ to, subject: 's', body: 'b' }));
    const addresses = ['full@a.example', 'ann@b.example', 'grey@c.example', 'ben@b.example'];

    /** A mail server that temporarily refuses these recipients. */
    function serverWith(refused: readonly string[]) {
      const sent: string[] = [];
      const send: JobServices['send'] = (_provider, { to }) => {
        if (refused.includes(to))
          return Promise.reject(new ProviderError('deferred', 'MAIL_DEFERRED', '450 greylisted'));
        sent.push(to);
        return Promise.resolve('250 OK');
      };
      return { sent, send };
    }
    const comeDue = ({ jobId }: Asked) =>
      core.admin.query({ text: 'UPDATE job_items SET next_at = now() WHERE payload_id = $1', values: [jobId] });

    it('sends to the others, releases its slot, and later sends to each of them once', async () => {
      const asked = await ask(emailBatch, { items: mailsTo(addresses) }, { mail });
      const grey = serverWith(['full@a.example', 'grey@c.example']);
      const put: unknown = await work(asked, grey).catch((error: unknown) => error);
      expect(put).toMatchObject({ kind: 'deferred', code: 'ITEMS_WAIT' });
      expect((put as JobFailure).pauseMs).toBeGreaterThan(50_000);
      expect(grey.sent).toEqual(['ann@b.example', 'ben@b.example']);
      expect((await itemsOf(asked)).map(({ state, error }) => [state, error])).toEqual([
        ...[['waiting', '450 greylisted'], ['done', null], ['waiting', '450 greylisted'], ['done', null]], // prettier-ignore
      ]);
      await comeDue(asked);
      const well = serverWith([]);
      expect(await work(asked, well)).toMatchObject({ total: 4, done: 4, failed: 0 });
      expect(well.sent).toEqual(['full@a.example', 'grey@c.example']);
    });

    it('releases its slot after half the time of an attempt', async () => {
      const asked = await ask(emailBatch, { items: mailsTo(Array<string>(17).fill('ann@b.example')) }, { mail });
      const server = serverWith([]);
      await expect(work(asked, { ...server, attemptMs: 0 })).rejects.toMatchObject({ kind: 'deferred', pauseMs: 0 });
      expect(server.sent).toHaveLength(16);
    });

    it('fails recipients that are refused for too long', async () => {
      const asked = await ask(emailBatch, { items: mailsTo(addresses) }, { mail });
      const grey = serverWith(['full@a.example']);
      await expect(work(asked, grey)).rejects.toMatchObject({ kind: 'deferred' });
      await core.admin.query({
        text: `UPDATE mail_refusals SET since = since - interval '1 day' WHERE job_id = $1`,
        values: [asked.jobId],
      });
      await comeDue(asked);
      expect(await work(asked, grey)).toMatchObject({ total: 4, done: 3, failed: 1 });
    });

    it('uses no attempt: another failure finds as many attempts as before', async () => {
      const asked = await ask(emailBatch, { items: mailsTo(['grey@c.example']) }, { mail });
      for (let refusals = 0; refusals < 7; refusals++) {
        await expect(work(asked, serverWith(['grey@c.example']))).rejects.toMatchObject({ kind: 'deferred' });
        await comeDue(asked);
      }
      let tries = 0;
      const broken = () => ((tries += 1), Promise.reject(new ProviderError('retryable', 'MAIL_TIMEOUT', 'too slow')));
      expect(await work(asked, { send: broken })).toMatchObject({ total: 1, failed: 1 });
      expect(tries).toBe(5);
    });
  });
});
