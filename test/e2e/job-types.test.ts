import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import { fromBufferPromise } from 'yauzl';
import { freePort } from '../support/ports.ts';
import { serverUnderTest } from '../support/server-under-test.ts';
import { type Client, createClient } from '../support/client.ts';
import { FORM, formOf } from '../support/covers.ts';
import { png } from '../support/images.ts';
import { KEYS } from '../support/keys.ts';
import { newPerson, type Person } from '../support/people.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';
import { until } from '../support/servers/waiting.ts';

interface Job {
  readonly state: string;
  readonly progress: { readonly done: number; readonly total: number; readonly failed: number };
  readonly attempts: readonly { readonly error?: { readonly code: string } }[];
  readonly result?: { readonly fileId: string; readonly name: string; readonly size: number } & Record<string, unknown>;
}
interface Data {
  readonly jobId: string;
  readonly job: Job;
  readonly url: string;
  readonly items: {
    readonly item: number;
    readonly state: string;
    readonly fileId?: string;
    readonly error?: string;
  }[];
  readonly songs: { readonly id: string; readonly title: string }[];
}

/** The body of an answer with that status. */
function dataOf(answer: { readonly status: number; readonly text: string }, status: number): Data {
  expect([answer.status, answer.text]).toEqual([status, expect.anything()]);
  return (JSON.parse(answer.text) as { data: Data }).data;
}

const start = async (client: Client, type: string, payload: object): Promise<string> =>
  dataOf(await client.post('/jobs', { type, payload }), 202).jobId;

const seen = async (client: Client, jobId: string) => dataOf(await client.get(`/jobs/${jobId}`), 200).job;

/** Waits until the job has ended. */
async function ended(client: Client, jobId: string): Promise<Job> {
  let job: Job | undefined;
  const over = async () => {
    job = await seen(client, jobId);
    return ['succeeded', 'dead', 'cancelled'].includes(job.state);
  };
  await until(over, 60_000, () => `${jobId} has not ended: ${JSON.stringify(job)}`);
  return job!;
}

/** The file of a job, once it is ready, downloaded by its link. */
async function made(client: Client, jobId: string): Promise<{ job: Job; content: Buffer; headers: Headers }> {
  const job = await ended(client, jobId);
  expect(job).toMatchObject({ state: 'succeeded' });
  const { url } = dataOf(await client.get(`/jobs/${jobId}/result`), 200);
  const answer = await fetch(url);
  expect(answer.status).toBe(200);
  return { job, content: Buffer.from(await answer.arrayBuffer()), headers: answer.headers };
}

async function unpacked(archive: Buffer): Promise<Record<string, string>> {
  const zip = await fromBufferPromise(archive, { lazyEntries: true, strictFileNames: true });
  const found: Record<string, string> = {};
  for await (const entry of zip.eachEntry()) found[entry.fileName] = await text(await zip.openReadStreamPromise(entry));
  return found;
}

const itemsOf = async (client: Client, jobId: string) =>
  dataOf(await client.get(`/jobs/${jobId}/items?limit=100`), 200).items;

describe('jobs that every user may start', () => {
  let owner: Person;
  let stranger: Person;
  beforeAll(async () => {
    const server = await serverUnderTest();
    [owner, stranger] = [await newPerson(server.url), await newPerson(server.url)];
  });

  async function playlistOf({ client }: Person, name: string, title: string): Promise<void> {
    const song = { title, year: 2008, genre: 'Indie', performer: 'Coldplay' };
    const songId = (await client.post('/songs', song)).body?.data?.songId;
    const playlistId = (await client.post('/playlists', { name })).body?.data?.playlistId ?? '';
    await client.post(`/playlists/${playlistId}/songs`, { songId });
  }

  it('show the playlists of their owner in a report, as JSON and as CSV', async () => {
    const { client } = owner;
    await playlistOf(owner, 'Morning', '=HYPERLINK("x")');
    await playlistOf(stranger, 'Secret', 'Yes');
    const json = await made(client, await start(client, 'report', {}));
    expect(json.headers.get('content-type')).toContain('application/json');
    const { report } = JSON.parse(json.content.toString()) as { report: Record<string, unknown> };
    expect(report).toMatchObject({
      catalog: {
        songs: expect.any(Number),
        genres: expect.arrayContaining([{ name: 'Indie', songs: expect.any(Number) }]),
      },
      playlists: [{ name: 'Morning', songCount: 1, songs: [{ title: '=HYPERLINK("x")' }] }],
    });
    const csv = await made(client, await start(client, 'report', { format: 'csv' }));
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    const lines: Record<string, string>[] = parse(csv.content, { bom: true, columns: true });
    expect(lines.slice(-2).map(({ section, name }) => [section, name])).toEqual([
      ['playlist', 'Morning'],
      ['playlist-song', `'=HYPERLINK("x")`],
    ]);
  });

  it('pack the existing files into an archive and list the others as failed items', async () => {
    const { client } = owner;
    const report = await made(client, await start(client, 'report', {}));
    const foreign = await made(stranger.client, await start(stranger.client, 'report', {}));
    const albumId = (await client.post('/albums', { name: 'Viva la Vida', year: 2008 })).body?.data?.albumId ?? '';
    const cover = formOf([{ bytes: png(), filename: 'cover.png', type: 'image/png' }]);
    await client.send('POST', `/albums/${albumId}/covers`, { raw: cover, headers: FORM });
    const fileIds = [report.job.result?.fileId, foreign.job.result?.fileId, albumId, 'file-none'];

    const { jobId } = dataOf(await client.post('/downloads', { fileIds }), 202);
    const { job, content } = await made(client, jobId);
    expect(job).toMatchObject({ progress: { done: 2, total: 4, failed: 2 }, result: { packed: 2, missing: 2 } });
    const files = await unpacked(content);
    expect(Object.keys(files)).toEqual(['report.json', `${albumId}.png`]);
    expect(files['report.json']).toBe(report.content.toString());
    const items = await itemsOf(client, jobId);
    expect(items.map(({ state, fileId }) => [state, fileId])).toEqual(
      ['done', 'failed', 'done', 'failed'].map((state, index) => [state, fileIds[index]]),
    );
    expect(items[1]?.error).toBe(items[3]?.error);
  });

  it('reject an archive of no files', async () => {
    const refused = await owner.client.post('/jobs', { type: 'archive', payload: { fileIds: ['file-none'] } });
    expect(refused).toMatchObject({ status: 400, body: { code: 'NO_FILES' } });
  });

  it.each([
    ['report', { format: 'xml' }, '/payload/format'],
    ['archive', { fileIds: [] }, '/payload/fileIds'],
    ['archive', { fileIds: ['file-1', 'file-1'] }, '/payload/fileIds'],
    ['archive', {}, '/payload/fileIds'],
  ])('reject %s %j, and name the field', async (type, payload, where) => {
    const refused = await owner.client.post('/jobs', { type, payload });
    expect(refused).toMatchObject({ status: 400, body: { errors: [{ path: where }] } });
  });

  it('do not include imports', async () => {
    const refused = await owner.client.post('/jobs', {
      type: 'import-catalog',
      payload: { format: 'ndjson', data: '{}' },
    });
    expect(refused).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
  });
});

/** This suite kills the server, so it always starts its own. */
describe('an import', () => {
  let directory: string;
  let server: OpenMusicProcess;
  let admin: Client;
  let launch: (leaseSeconds?: string) => Promise<OpenMusicProcess>;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'openmusic-import-'));
    const port = await freePort();
    launch = (leaseSeconds = '30') =>
      startProcess({ env: { DATA_DIR: directory, JOB_LEASE_SECONDS: leaseSeconds, ...KEYS }, port });
    server = await launch('3'); // this process dies with the jobs it holds
    const { username, password } = await newPerson(server.url);
    await openmusic(['accounts', 'grant-admin', username], { DATA_DIR: directory, ...KEYS });
    const { body } = await createClient(server.url).post('/authentications', { username, password });
    admin = createClient(server.url, body?.data?.accessToken);
  });
  afterAll(async () => {
    await server.end('SIGTERM');
    await rm(directory, { recursive: true, force: true });
  });

  const titles = async (performer: string) =>
    dataOf(await admin.get(`/songs?performer=${encodeURIComponent(performer)}`), 200).songs.map(({ title }) => title);

  it('adds its valid lines, and lists the others with reasons', async () => {
    const data =
      'kind,name,title,year,genre,performer,album\nalbum,A,,1,,,\nsong,,S,1,g,Importer,A\nsong,,T,x,g,Importer,A\n';
    const jobId = await start(admin, 'import-catalog', { format: 'csv', data });
    const job = await ended(admin, jobId);
    expect(job).toMatchObject({ state: 'succeeded', progress: { done: 2, total: 3, failed: 1 } });
    expect(job.result).toEqual({ albums: 1, songs: 1, bad: 1 });
    expect(await titles('Importer')).toEqual(['S']);
    expect(await itemsOf(admin, jobId)).toMatchObject([
      { item: 4, state: 'failed', error: 'year must be a whole number of at most 32 bits' },
    ]);
  });

  it('is refused as a whole for an unknown header, and names it', async () => {
    const refused = await admin.post('/jobs', {
      type: 'import-catalog',
      payload: { format: 'csv', data: 'a,b\n1,2\n' },
    });
    expect(refused).toMatchObject({ status: 400, body: { errors: [{ path: '/payload/data' }] } });
  });

  it('continues after kill -9, and adds nothing twice', async () => {
    const SONGS = 1_500;
    const names = Array.from({ length: SONGS }, (_, n) => `Song ${n}`);
    const about = { kind: 'song', year: 2008, genre: 'Indie', performer: 'Survivor', album: 'A' };
    const lines = [{ kind: 'album', name: 'A', year: 2008 }, ...names.map((title) => ({ ...about, title }))];
    const data = lines.map((line) => JSON.stringify(line)).join('\n');
    const jobId = await start(admin, 'import-catalog', { format: 'ndjson', data });
    const hasBegun = async () => (await titles('Survivor')).length > 100;
    await until(hasBegun, 30_000, () => 'nothing was imported');
    await server.end('SIGKILL');
    server = await launch();
    expect((await titles('Survivor')).length).toBeLessThan(SONGS);
    const job = await ended(admin, jobId);
    expect(job).toMatchObject({ state: 'succeeded', result: { albums: 1, songs: SONGS, bad: 0 } });
    expect(job.attempts).toHaveLength(2);
    expect((await titles('Survivor')).sort()).toEqual([...names].sort());
  });
});
