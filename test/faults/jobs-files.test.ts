import { symlink } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import type { Files } from '../../src/providers/files/files.ts';
import { type JobsApp, startJobsApp } from '../support/jobs-faults.ts';
import { type FaultyStore, startFaultyStore, type StoreConduct } from '../support/jobs-store.ts';
import { begin, beginAll, breakerOf, codesOf, jobOf, mailsTo, newPlaylist, untilJob, untilOver } from '../support/jobs-client.ts'; // prettier-ignore
import { namesOf, open } from '../support/stored-files.ts';
import { eventually } from '../support/observed.ts';
import { describeWithMinio, type Minio } from '../support/servers/minio.ts';
import { describeWithSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { startSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';

const WITHIN_MS = 90_000;
const TIME_MS = 240_000;
const CALLS = 12;
/** A report lists all of them, by performer and by genre. */
const SONGS = 100;

let smtp: TestSmtpServer;
beforeAll(async () => {
  smtp = await startSmtpServer();
});
afterAll(() => smtp.stop());

let names = 0;
const newAddress = () => `u${++names}@example.com`;
const sentTo = (address: string) => smtp.mails.filter(({ to }) => to.includes(address)).length;
/** Failures of the file store use no attempt. */
const settings = () => ({ ...smtp.settings, JOB_ATTEMPTS: '1', WORKER_CONCURRENCY: '20' });

/** A link to the job's file leads to the whole file. */
async function mustBeDownloadable({ admin }: JobsApp, id: string): Promise<void> {
  const { text } = await admin.get(`/jobs/${id}/result`);
  const { url } = (JSON.parse(text) as { data: { url: string } }).data;
  const { result } = await jobOf(admin, id);
  const answer = await fetch(url);
  const content = Buffer.from(await answer.arrayBuffer());
  expect([answer.status, content.length]).toEqual([200, result?.size]);
  expect(JSON.parse(content.toString())).toBeTruthy();
}

const resultOf = async ({ admin }: JobsApp, id: string) => {
  const { status, body } = await admin.get(`/jobs/${id}/result`);
  return [status, body?.code];
};

/**
 * While files cannot be stored, exports are accepted and have no result; other jobs complete; the breaker of the provider
 * is open.
 */
async function whileBroken(app: JobsApp, playlist: string, provider: string): Promise<Map<string, string>> {
  const addresses = Array.from({ length: CALLS }, newAddress);
  const bodies = addresses.map((targetEmail) => ({ targetEmail }));
  const ids = await beginAll(app.admin, `/export/playlists/${playlist}`, bodies);
  const report = await begin(app.admin, '/jobs', { type: 'report' });
  await Promise.all(ids.map((id) => untilJob(app.admin, id, 'has failed', ({ attempts }) => attempts.some(({ error }) => error), WITHIN_MS))); // prettier-ignore
  await eventually('the breaker is open', async () => (await breakerOf(app.admin, provider)) !== 'closed', WITHIN_MS);
  const [dummy] = await untilOver(app.admin, [await begin(app.admin, '/jobs', { type: 'dummy' })], WITHIN_MS);
  const [mail] = await untilOver(app.admin, await beginAll(app.admin, '/messages', mailsTo([newAddress()])), WITHIN_MS);
  expect([dummy?.state, mail?.state]).toEqual(['succeeded', 'succeeded']);
  expect(await resultOf(app, ids[0]!)).toEqual([409, 'RESULT_NOT_READY']);
  expect(addresses.map(sentTo)).toEqual(addresses.map(() => 0));
  return new Map([...ids.map((id, index): [string, string] => [id, addresses[index]!]), [report, '']]);
}

async function mustAllBeDone(app: JobsApp, jobs: ReadonlyMap<string, string>): Promise<void> {
  const over = await untilOver(app.admin, [...jobs.keys()], WITHIN_MS);
  expect(over.filter(({ state }) => state !== 'succeeded')).toEqual([]);
  for (const [id, address] of jobs) {
    await mustBeDownloadable(app, id);
    if (address) expect(sentTo(address)).toBe(1);
  }
}

describeWithMinio('an S3 server with faults', (start) => {
  let minio: Minio;
  let store: FaultyStore;
  let app: JobsApp;
  let files: Files;
  let playlist: string;
  beforeAll(async () => {
    minio = await start();
    store = await startFaultyStore(minio.settings.S3_ENDPOINT);
    const s3 = { ...minio.settings, FILES_PROVIDER: 's3', S3_ANSWER_SECONDS: '2' };
    app = await startJobsApp({ env: { ...settings(), ...s3, S3_ENDPOINT: store.url } });
    files = await open({ ...s3, NAMESPACE: 'openmusic' });
    playlist = await newPlaylist(app.admin);
  }, TIME_MS);
  afterAll(async () => {
    await files.stop();
    await app.stop();
    await store.close();
    await minio.stop();
  });
  afterEach(() => store.behave('well'));

  const bad: StoreConduct[] = ['refuses', 'answers 503', 'hangs'];
  it.each(bad)(
    '%s: accepts exports, which wait, completes other jobs, and finally makes each file and sends each mail once',
    async (conduct) => {
      store.behave(conduct);
      const jobs = await whileBroken(app, playlist, 's3');
      store.behave('well');
      await mustAllBeDone(app, jobs);
    },
    TIME_MS,
  );

  it(
    'that cuts a large upload stores nothing, and then the whole file',
    async () => {
      await addManySongs();
      store.behave('cuts uploads');
      const id = await begin(app.admin, '/jobs', { type: 'report' });
      await untilJob(app.admin, id, 'has failed', ({ attempts }) => attempts.some(({ error }) => error), WITHIN_MS);
      expect(store.cuts).toBeGreaterThan(0);
      expect((await namesOf(files, 'reports/')).filter((name) => name.includes(id))).toEqual([]);
      store.behave('well');
      await mustAllBeDone(app, new Map([[id, '']]));
    },
    TIME_MS,
  );

  async function addManySongs(): Promise<void> {
    const long = 'x'.repeat(80);
    const lines = Array.from({ length: SONGS }, (_, index) => `song,Yellow,2000,${long}${index},${long}${index}`);
    const data = ['kind,title,year,genre,performer', ...lines].join('\n');
    const id = await begin(app.admin, '/jobs', { type: 'import-catalog', payload: { format: 'csv', data } });
    expect((await untilOver(app.admin, [id], WITHIN_MS))[0]?.progress).toMatchObject({ done: SONGS, failed: 0 });
  }

  it(
    'that loses a file: its link is gone, and an archive reports it as missing',
    async () => {
      const addresses = [newAddress(), newAddress()];
      const ids = await beginAll(app.admin, `/export/playlists/${playlist}`, addresses.map((targetEmail) => ({ targetEmail }))); // prettier-ignore
      const jobs = await untilOver(app.admin, ids, WITHIN_MS);
      const [lost = ''] = ids;
      await files.remove(`exports/${lost}.json`);
      expect(await resultOf(app, lost)).toEqual([410, 'FILE_GONE']);
      const fileIds = jobs.map(({ result }) => result?.fileId);
      const archive = await begin(app.admin, '/downloads', { fileIds });
      const [job] = await untilOver(app.admin, [archive], WITHIN_MS);
      expect([job?.state, job?.progress]).toEqual(['succeeded', { done: 1, total: 2, failed: 1 }]);
    },
    TIME_MS,
  );
});

describeWithSmallDisk('a full disk of files', (startDisk) => {
  let disk: SmallDisk;
  let app: JobsApp;
  let playlist: string;
  beforeAll(async () => {
    disk = await startDisk(8);
    const prepare = (dataDir: string) => symlink(disk.path, path.join(dataDir, 'files'));
    app = await startJobsApp({ env: settings(), prepare });
    playlist = await newPlaylist(app.admin);
  }, TIME_MS);
  afterAll(async () => {
    await app.stop();
    await disk.stop();
  });

  it(
    'makes exports wait, other jobs complete, and finally each file is made and each mail is sent once',
    async () => {
      await untilOver(app.admin, [await begin(app.admin, '/jobs', { type: 'report' })], WITHIN_MS); // creates the directories
      await disk.fill();
      const jobs = await whileBroken(app, playlist, 'disk');
      await disk.clear();
      await mustAllBeDone(app, jobs);
    },
    TIME_MS,
  );

  it(
    'that lasts longer than all attempts before the breaker opens: the job waits, and is done when there is room',
    async () => {
      await disk.fill();
      const id = await begin(app.admin, `/export/playlists/${playlist}`, { targetEmail: newAddress() });
      await untilJob(app.admin, id, 'has failed', (job) => codesOf(job).filter(Boolean).length >= 3, WITHIN_MS);
      expect(codesOf(await jobOf(app.admin, id)).slice(0, 3)).toEqual(Array(3).fill('FILES_UNAVAILABLE'));
      expect(await resultOf(app, id)).toEqual([409, 'RESULT_NOT_READY']);
      await disk.clear();
      expect(await untilOver(app.admin, [id], WITHIN_MS)).toMatchObject([{ state: 'succeeded' }]);
    },
    TIME_MS,
  );
});
