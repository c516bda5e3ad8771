import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Paced, unharmed } from '../support/abuse.ts';
import { type Client, createClient } from '../support/client.ts';
import { png } from '../support/images.ts';
import { type JobsApp, startJobsApp } from '../support/jobs-faults.ts';
import { allJobs, begin, beginAll, jobOf, newPlaylist, untilOver } from '../support/jobs-client.ts';
import { eventually } from '../support/observed.ts';
import { withMachineSpeed } from '../support/machine-speed.ts';
import { newPerson, type Person } from '../support/people.ts';

const TIME_MS = 300_000;
const DUMMY_SECONDS = 60;
const STORED_BYTES = 3_000_000;
const COVERS = 40;
const OFTEN = 60;

let app: JobsApp;
let other: Person;

beforeAll(async () => {
  app = await startJobsApp({
    env: {
      DUMMY_SECONDS: String(DUMMY_SECONDS),
      STORED_BYTES: String(STORED_BYTES),
      RATE_COVERS: `${COVERS}/3600`,
      MAIL_PROVIDERS: 'file',
      JOB_LEASE_SECONDS: '30',
      RATE_JOBS: '1000/60',
    },
  });
  other = await newPerson(app.url);
}, TIME_MS);
afterAll(() => app.stop(), TIME_MS);

/**
 * How long an account without abuse waits, in milliseconds: the 95th percentile, so that a short delay of a busy machine is
 * not mistaken for harm. Rejects with the first failure.
 */
async function usualOf(count: number, act: () => Promise<unknown>): Promise<Paced> {
  const times: number[] = [];
  const { paceMs } = await withMachineSpeed(async () => {
    for (let n = 0; n < count; n++) {
      const began = performance.now();
      await act();
      times.push(performance.now() - began);
    }
  });
  return { ms: times.sort((one, other) => one - other)[Math.floor(count * 0.95) - 1] ?? NaN, paceMs };
}

/** A write that is projected, and a read. */
async function asAlways(): Promise<void> {
  const written = await other.client.post('/playlists', { name: 'Evening' });
  const read = await other.client.get('/playlists');
  expect([written.status, read.status]).toEqual([201, 200]);
}

async function report(client = other.client): Promise<void> {
  const [job] = await untilOver(client, [await begin(client, '/jobs', { type: 'report' })], TIME_MS);
  expect(job?.state).toBe('succeeded');
}

/** Repeats an abuse while other clients do their usual work. */
async function whileOthers(before: Paced, act: () => Promise<unknown>, calm = asAlways): Promise<void> {
  const [usual] = await Promise.all([usualOf(OFTEN, calm), act()]);
  expectUnharmed(usual, before);
}

const expectUnharmed = ({ ms, paceMs }: Paced, before: Paced) => expect(ms).toBeLessThan(unharmed(before, paceMs));

const cover = () => {
  const form = new FormData();
  form.append('cover', new Blob([Uint8Array.from(png({ padding: 500_000 }))]), 'cover.png');
  return form;
};

async function bytesIn(kind: string): Promise<number> {
  const directory = path.join(app.dataDir, 'files', 'openmusic', kind);
  const names = await readdir(directory).catch(() => []);
  const sizes = await Promise.all(names.map(async (name) => (await stat(path.join(directory, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

const newAlbum = async (client: Client) =>
  (await client.post('/albums', { name: 'Parachutes', year: 2000 })).body?.data?.albumId ?? '';

describe('one account', () => {
  it(
    'with sixteen long jobs does not delay the report of another account',
    async () => {
      const before = await usualOf(10, report);
      const { client } = await newPerson(app.url);
      const longest = { type: 'dummy', payload: { duration: DUMMY_SECONDS * 1_000 } };
      const ids = await beginAll(client, '/jobs', Array(16).fill(longest) as object[]);
      await eventually('many run', async () => (await running(client)) >= 4);
      expectUnharmed(await usualOf(10, report), before);
      expect(await running(client)).toBeGreaterThanOrEqual(4);
      expect(
        (await client.post('/jobs', { ...longest, payload: { duration: DUMMY_SECONDS * 1_000 + 1 } })).status,
      ).toBe(400);
      for (const id of ids) await client.delete(`/jobs/${id}`);
    },
    TIME_MS,
  );

  it(
    'that requests a mail each second gets twenty an hour per address, and uses none of another account’s quota',
    async () => {
      const { client } = await newPerson(app.url);
      const [mine, others] = [await newPlaylist(client), await newPlaylist(other.client)];
      const before = await usualOf(OFTEN, asAlways);
      const payload = { playlistId: mine, targetEmail: 'victim@example.com' };
      const repeat = { cron: '* * * * * *', timeZone: 'UTC' };
      const refused = await client.post('/jobs', { type: 'export-playlist', payload, repeat });
      expect([refused.status, refused.body?.code]).toEqual([400, 'REPEATS_TOO_OFTEN']);
      const exports = Array.from({ length: 30 }, () => ({ targetEmail: payload.targetEmail }));
      const ids: string[] = [];
      await whileOthers(before, async () => {
        for (const body of exports) ids.push(await begin(client, `/export/playlists/${mine}`, body));
      });
      await eventually('twenty are sent', async () => (await inState(client, 'succeeded')) === 20, 60_000);
      await eventually('ten wait', async () => (await inState(client, 'failed-retrying')) === 10, 60_000);
      const [id] = await beginAll(other.client, `/export/playlists/${others}`, [{ targetEmail: 'friend@example.com' }]);
      expect(await untilOver(other.client, [id!], 60_000)).toMatchObject([{ state: 'succeeded' }]);
      expect(await inState(client, 'succeeded')).toBe(20);
      for (const each of ids) await client.delete(`/jobs/${each}`);
    },
    TIME_MS,
  );

  it(
    'that requests two hundred repeating jobs gets twenty, which end',
    async () => {
      const { client } = await newPerson(app.url);
      const before = await usualOf(OFTEN, asAlways);
      const body = { type: 'dummy', repeat: { cron: '*/15 * * * *', timeZone: 'UTC' } };
      const answers: number[] = [];
      await whileOthers(before, async () => {
        for (let n = 0; n < 200; n++) answers.push((await client.post('/jobs', body)).status);
      });
      expect(answers.filter((status) => status === 202)).toHaveLength(20);
      expect(answers.filter((status) => status === 429)).toHaveLength(180);
      const [job] = await allJobs(client);
      expect(job?.repeat).toMatchObject({ missed: 'run-once', count: 1_000, until: expect.any(String) });
      const until = new Date(Date.now() + 86_400_000).toISOString();
      expect((await client.patch(`/jobs/${job?.id}`, { repeat: { until, missed: 'skip' } })).status).toBe(200);
      expect((await jobOf(client, job?.id ?? '')).repeat).toMatchObject({ until, missed: 'skip' });
    },
    TIME_MS,
  );

  it(
    'that makes many archives fills only its own quota, and the error names the number',
    async () => {
      const { client } = await newPerson(app.url);
      const anonymous = createClient(app.url);
      const albums = await Promise.all(Array.from({ length: 3 }, () => newAlbum(anonymous)));
      for (const album of albums)
        expect((await anonymous.send('POST', `/albums/${album}/covers`, { raw: cover() })).status).toBe(201);
      const before = await usualOf(OFTEN, asAlways);
      const body = { type: 'archive', payload: { fileIds: albums } };
      let ids: string[] = [];
      await whileOthers(before, async () => {
        const answers = await Promise.all(Array.from({ length: 10 }, () => client.post('/jobs', body)));
        ids = answers.flatMap(({ body: told }) => told?.data?.jobId ?? []);
        await untilOver(client, ids, 60_000);
      });
      expect(await bytesIn('archives')).toBeLessThanOrEqual(STORED_BYTES);
      expect(await inState(client, 'succeeded')).toBe(1);
      const dead = (await allJobs(client, 'archive')).find(({ state }) => state === 'dead');
      expect(dead?.attempts.map(({ error }) => error?.code)).toEqual(['TOO_MUCH_STORED']);
      const [id] = await beginAll(other.client, '/jobs', [body]);
      expect(await untilOver(other.client, [id!], 60_000)).toMatchObject([{ state: 'succeeded' }]);
    },
    TIME_MS,
  );

  it(
    'that sends covers for missing albums leaves no file',
    async () => {
      const before = await usualOf(OFTEN, asAlways);
      const stored = await bytesIn('covers');
      const { client } = await newPerson(app.url);
      await whileOthers(before, async () => {
        for (let n = 0; n < 20; n++)
          expect((await client.send('POST', '/albums/album-none/covers', { raw: cover() })).status).toBe(404);
      });
      expect(await bytesIn('covers')).toBe(stored);
      const album = await newAlbum(client);
      const key = { 'idempotency-key': 'one-cover-however-often-it-is-sent' };
      const again = await newPerson(app.url);
      for (let n = 0; n < 3; n++) {
        const sent = await again.client.send('POST', `/albums/${album}/covers`, { raw: cover(), headers: key });
        expect([sent.status, sent.headers.get('idempotency-replayed')]).toEqual([201, n > 0 ? 'true' : null]);
      }
      expect(await bytesIn('covers')).toBe(stored + png({ padding: 500_000 }).length);
      const statuses: number[] = [];
      for (let n = 0; n < 7; n++)
        statuses.push((await client.send('POST', `/albums/${album}/covers`, { raw: cover() })).status);
      expect(statuses).toEqual([201, 201, 201, 201, 201, 429, 429]);
    },
    TIME_MS,
  );
});

it(
  'one dead letter that is redriven ten times at once gets one job',
  async () => {
    const id = await begin(other.client, '/jobs', { type: 'dummy', payload: { failures: 100 } });
    expect(await untilOver(other.client, [id], 60_000)).toMatchObject([{ state: 'dead' }]);
    const before = await usualOf(OFTEN, asAlways);
    const redrive = (failures: number) =>
      app.admin.post(`/admin/dead-letters/${id}/redrive`, { payload: { failures } });
    let answers: Awaited<ReturnType<typeof redrive>>[] = [];
    await whileOthers(before, async () => (answers = await Promise.all(Array.from({ length: 10 }, () => redrive(0)))));
    const told = new Set(answers.flatMap(({ body }) => body?.data?.jobId ?? []));
    expect(told.size).toBe(1);
    const made = (await allJobs(other.client, 'dummy')).filter(({ replaces }) => replaces === id);
    expect(made.map((job) => job.id)).toEqual([...told]);
    expect((await redrive(1)).status).toBe(409);
  },
  TIME_MS,
);

it(
  'clients without a login share an hourly limit of covers, which does not affect clients that are logged in',
  async () => {
    const anonymous = createClient(app.url);
    const send = (client: Client) => client.send('POST', '/albums/album-none/covers', { raw: cover() });
    let refused = await send(anonymous);
    for (let n = 0; n < COVERS && refused.status === 404; n++) refused = await send(anonymous);
    expect([refused.status, refused.body?.code]).toEqual([429, 'TOO_MANY_REQUESTS']);
    expect((await send((await newPerson(app.url)).client)).status).toBe(404);
  },
  TIME_MS,
);

const inState = async (client: Client, state: string) =>
  (await allJobs(client)).filter((job) => job.state === state).length;

const running = (client: Client) => inState(client, 'running');
