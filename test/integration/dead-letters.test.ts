import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Client } from '../support/client.ts';
import { newAdmin } from '../support/jobs-faults.ts';
import { KEYS } from '../support/keys.ts';
import { newPerson, type Person } from '../support/people.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';

let dataDir: string;
let server: OpenMusicProcess;
let owner: Person;
let admin: Client;

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'openmusic-dead-letters-'));
  await chmod(dataDir, 0o755);
  server = await startProcess({ env: { DATA_DIR: dataDir, ...KEYS, JOB_ATTEMPTS: '2', JOB_BACKOFF_SECONDS: '0.05' } });
  owner = await newPerson(server.url);
  admin = await newAdmin(server.url, { DATA_DIR: dataDir, ...KEYS }); // admin jobs run only for an existing admin
}, 120_000);
afterAll(async () => {
  await server.end('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

const jobOf = async (id: string) => (await owner.client.get(`/jobs/${id}`)).body?.data?.job;

async function until(id: string, state: string) {
  for (;;) {
    const job = await jobOf(id);
    if (job?.state === state) return job;
    await delay(20);
  }
}

async function deadJob(failures = 2): Promise<string> {
  const { body } = await owner.client.post('/jobs', { type: 'dummy', payload: { failures } });
  const id = body?.data?.jobId ?? '';
  await until(id, 'dead');
  return id;
}

const listed = async () => ((await admin.get('/admin/dead-letters')).body?.data?.deadLetters ?? []).map(({ id }) => id);
const gone = { status: 404, body: { code: 'DEAD_LETTER_NOT_FOUND' } };

describe('a dead letter', () => {
  it('is listed with every attempt and its request', async () => {
    const id = await deadJob();
    expect(await listed()).toContain(id);
    const letter = (await admin.get(`/admin/dead-letters/${id}`)).body?.data?.deadLetter;
    expect(letter).toMatchObject({ id, state: 'dead', ownerId: owner.id, parameters: { failures: 2 }, payload: null });
    expect(letter?.attempts.map(({ error }) => error?.code)).toEqual(['DUMMY', 'DUMMY']);
  });

  it('can be retried, and is then off the list', async () => {
    const id = await deadJob();
    const key = { 'idempotency-key': 'again' };
    const first = await admin.post(`/admin/dead-letters/${id}/redrive`, undefined, key);
    expect(first).toMatchObject({ status: 202, body: { data: { jobId: id } } });
    const { attempts } = await until(id, 'succeeded');
    expect(attempts.map(({ error }) => error?.code)).toEqual(['DUMMY', 'DUMMY', undefined]);
    expect(await listed()).not.toContain(id);
    const again = await admin.post(`/admin/dead-letters/${id}/redrive`, undefined, key);
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([202, 'true']);
    expect(await admin.post(`/admin/dead-letters/${id}/redrive`)).toMatchObject(gone);
    expect((await jobOf(id))?.attempts).toHaveLength(3);
  });

  it('can be retried with a corrected payload by another job of the same owner, which names it', async () => {
    const id = await deadJob(100);
    const key = { 'idempotency-key': 'corrected' };
    const body = { payload: { failures: 0 } };
    const answer = await admin.post(`/admin/dead-letters/${id}/redrive`, body, key);
    const jobId = answer.body?.data?.jobId ?? '';
    expect([answer.status, jobId === id]).toEqual([202, false]);
    expect(await until(jobId, 'succeeded')).toMatchObject({ replaces: id });
    expect(await listed()).not.toContain(id);
    expect((await jobOf(id))?.state).toBe('dead');
    const again = await admin.post(`/admin/dead-letters/${id}/redrive`, body, key);
    expect([again.status, again.body?.data?.jobId, again.headers.get('idempotency-replayed')]).toEqual([
      202,
      jobId,
      'true',
    ]);
  });

  it('is not retried again with another key, nor with another payload and the same key', async () => {
    const id = await deadJob(100);
    const redrive = (body: object | undefined, key: string) =>
      admin.post(`/admin/dead-letters/${id}/redrive`, body, { 'idempotency-key': key });
    const body = { payload: { failures: 0 } };
    expect((await redrive(body, 'one')).status).toBe(202);
    const already = { status: 409, body: { code: 'ALREADY_REDRIVEN' } };
    expect(await redrive(body, 'other')).toMatchObject(already);
    expect(await redrive({ payload: { failures: 1 } }, 'other')).toMatchObject(already);
    expect(await redrive(undefined, 'bare')).toMatchObject(already);
    expect(await owner.client.post(`/jobs/${id}/retry`)).toMatchObject(already);
    const reused = await redrive({ payload: { failures: 1 } }, 'one');
    expect(reused).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
    expect((await redrive(body, 'one')).headers.get('idempotency-replayed')).toBe('true');
  });

  it('is retried as the same job or as another one, and not as both', async () => {
    for (let round = 0; round < 8; round++) {
      const id = await deadJob(2);
      const answers = await Promise.all([
        admin.post(`/admin/dead-letters/${id}/redrive`, { payload: { failures: 0 } }),
        owner.client.post(`/jobs/${id}/retry`),
      ]);
      const accepted = answers.flatMap(({ status, body }) => (status === 202 ? [body?.data?.jobId ?? ''] : []));
      expect(accepted).toHaveLength(1);
      const jobs = (await owner.client.get('/jobs?limit=100')).body?.data?.jobs ?? [];
      expect(jobs.filter(({ replaces }) => replaces === id)).toHaveLength(accepted[0] === id ? 0 : 1);
      await until(accepted[0]!, 'succeeded');
    }
  });

  it('is retried once with a corrected payload, for any number of concurrent requests', async () => {
    const id = await deadJob(100);
    const redrive = (failures: number) => admin.post(`/admin/dead-letters/${id}/redrive`, { payload: { failures } });
    const answers = await Promise.all(Array.from({ length: 10 }, () => redrive(0)));
    const jobIds = new Set(answers.flatMap(({ body }) => body?.data?.jobId ?? []));
    expect(jobIds.size).toBe(1);
    const jobs = (await owner.client.get('/jobs?limit=100')).body?.data?.jobs ?? [];
    expect(jobs.filter(({ replaces }) => replaces === id)).toHaveLength(1);
    expect(await redrive(1)).toMatchObject({ status: 409, body: { code: 'ALREADY_REDRIVEN' } });
  });

  it('can be dropped, and the job stays dead', async () => {
    const id = await deadJob();
    expect((await admin.delete(`/admin/dead-letters/${id}`)).status).toBe(200);
    expect(await listed()).not.toContain(id);
    expect(await admin.get(`/admin/dead-letters/${id}`)).toMatchObject(gone);
    expect(await admin.delete(`/admin/dead-letters/${id}`)).toMatchObject(gone);
    expect((await jobOf(id))?.state).toBe('dead');
  });

  it('can be retried together with others, each with its own outcome', async () => {
    const ids = [await deadJob(), await deadJob()];
    const { status, body } = await admin.post('/admin/dead-letters/redrive', { jobIds: [...ids, 'job-none'] });
    expect([status, body?.data?.outcomes]).toMatchObject([
      202,
      [...ids.map((jobId) => ({ jobId, redriven: true })), { redriven: false, code: 'DEAD_LETTER_NOT_FOUND' }],
    ]);
    for (const id of ids) await until(id, 'succeeded');
  });

  it('is on one page of the list', async () => {
    const ids = [await deadJob(100), await deadJob(100), await deadJob(100)];
    const found: string[] = [];
    for (let next: string | null | undefined = ''; next != null;) {
      const { body } = await admin.get(`/admin/dead-letters?limit=1${next && `&cursor=${next}`}`);
      found.push(...(body?.data?.deadLetters ?? []).map(({ id }) => id));
      next = body?.data?.nextCursor;
    }
    expect(found).toEqual(await listed());
    expect(found).toEqual(expect.arrayContaining(ids));
    for (const id of ids) await admin.delete(`/admin/dead-letters/${id}`);
  });
});

describe('openmusic dead-letters', () => {
  const run = (...args: string[]) =>
    openmusic(['dead-letters', ...args, '--url', server.url], { DATA_DIR: dataDir, ...KEYS });

  it('lists, shows, retries and drops, beside a running server', async () => {
    const [one, other] = [await deadJob(), await deadJob(100)];
    const list = await run('list');
    expect(list).toMatchObject({
      code: 0,
      output: expect.stringMatching(new RegExp(`${one} dummy since .*, 2 attempts: DUMMY`)),
    });
    const letters = JSON.parse((await run('list', '--json')).output) as { id: string }[];
    expect(letters.map(({ id }) => id)).toEqual(expect.arrayContaining([one, other]));
    expect(await run('show', one)).toMatchObject({ code: 0, output: expect.stringContaining('"failures": 2') });
    expect(await run('redrive', one, 'job-none')).toMatchObject({
      code: 2,
      output: `${one} runs again.\njob-none: There is no such dead letter.\n`,
    });
    await until(one, 'succeeded');
    const corrected = await run('redrive', other, '--payload', '{"failures":0}');
    expect(corrected).toMatchObject({ code: 0, output: expect.stringContaining(`takes the place of ${other}`) });
    expect(await run('drop', other)).toMatchObject({ code: 1, output: expect.stringContaining('no such dead letter') });
  });

  it('reports what is wrong in one line', async () => {
    const elsewhere = await openmusic(['dead-letters', 'list', '--url', 'http://127.0.0.1:9'], {
      DATA_DIR: dataDir,
      ...KEYS,
    });
    expect(elsewhere).toMatchObject({
      code: 1,
      output: expect.stringMatching(/^openmusic: .* cannot be reached .*\n$/),
    });
    const key = { ...KEYS, ACCESS_TOKEN_KEY: 'z'.repeat(32) };
    const stranger = await openmusic(['dead-letters', 'list', '--url', server.url], { DATA_DIR: dataDir, ...key });
    expect(stranger).toMatchObject({ code: 1, output: 'openmusic: Please log in first.\n' });
  });
});

it('providers and their breakers are listed', async () => {
  expect((await admin.get('/admin/providers')).body?.data).toEqual({
    providers: [
      { name: 'file', kind: 'mail', standard: true, breaker: { state: 'closed' } },
      { name: 'disk', kind: 'files', standard: true, breaker: { state: 'closed' } },
    ],
  });
});

it('messages of many recipients have an outcome for each', async () => {
  const mail = (to: string) => ({ to, subject: 'Yes', body: 'No' });
  const items = [mail('chris@example.com'), mail('guy@example.com')];
  const { status, body } = await admin.post('/messages/batch', { items });
  expect(status).toBe(202);
  const id = body?.data?.jobId ?? '';
  for (;;) {
    const job = (await admin.get(`/jobs/${id}`)).body?.data?.job;
    if (job?.state === 'succeeded') break;
    await delay(20);
  }
  const page = await admin.get(`/jobs/${id}/items?limit=1`);
  expect(page.body?.data?.items).toMatchObject([{ item: 0, state: 'done', to: 'chris@example.com' }]);
  const rest = await admin.get(`/jobs/${id}/items?cursor=${page.body?.data?.nextCursor ?? ''}`);
  expect(rest.body?.data?.items).toMatchObject([{ item: 1, state: 'done', to: 'guy@example.com' }]);
  expect(await owner.client.get(`/jobs/${id}/items`)).toMatchObject({ status: 404 });
});

/** The last test, because it stops the server. */
it('a server that stops closes the event streams of jobs', async () => {
  const deliverAt = new Date(Date.now() + 86_400_000).toISOString();
  const id = (await owner.client.post('/jobs', { type: 'dummy', deliverAt })).body?.data?.jobId ?? '';
  const headers = { authorization: `Bearer ${owner.accessToken}` };
  const { body } = await fetch(`${server.url}/jobs/${id}/events`, { headers });
  const told = body!.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
  for (let text = ''; !text.includes('"state":"scheduled"');) text += (await told.next()).value ?? '';
  const rest = async () => {
    for (let end = false; !end;) end = (await told.next()).done ?? false;
  };
  const [code] = await Promise.all([server.end('SIGTERM'), rest()]);
  expect([code, server.output()]).toEqual([0, expect.stringContaining('stopped')]);
});
