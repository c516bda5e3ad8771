import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { serverUnderTest } from '../support/server-under-test.ts';
import { type Client, createClient, type Job } from '../support/client.ts';
import { png } from '../support/images.ts';
import { newPerson, type Person } from '../support/people.ts';

let base: string;
let anonymous: Client;
let [owner, stranger]: Person[] = [];
beforeAll(async () => {
  const server = await serverUnderTest();
  base = server.url;
  anonymous = createClient(base);
  [owner, stranger] = [await newPerson(base), await newPerson(base)];
});

const as = (person: Person | undefined): Client => person!.client;
const fails = (status: number, code: string) => ({ status, body: { status: 'fail', code } });
const missing = fails(404, 'JOB_NOT_FOUND');

async function newJob(body: object = {}, person = owner): Promise<string> {
  const { status, body: answer } = await as(person).post('/jobs', { type: 'dummy', ...body });
  expect(status).toBe(202);
  return answer?.data?.jobId ?? '';
}

const read = async (id: string, person = owner) => (await as(person).get(`/jobs/${id}`)).body?.data?.job;

async function until(id: string, state: string): Promise<Job> {
  for (;;) {
    const job = await read(id);
    if (job?.state === state) return job;
    await delay(20);
  }
}

const waiting = { deliverAt: new Date(Date.now() + 86_400_000).toISOString() };

/** The path of a link: the test may reach the server by another host name. */
const pathOf = (url = '') => url.slice(url.indexOf('/files/'));

describe('a job', () => {
  it('is accepted, processed by a worker and visible', async () => {
    const { status, headers, body } = await as(owner).post('/jobs', { type: 'dummy', payload: { duration: 10 } });
    const id = body?.data?.jobId ?? '';
    expect([status, headers.get('location')]).toEqual([202, expect.stringMatching(new RegExp(`/jobs/${id}$`))]);
    expect(await until(id, 'succeeded')).toEqual({
      id,
      type: 'dummy',
      state: 'succeeded',
      progress: { done: 1, total: 1, failed: 0 },
      result: {},
      attempts: [{ startedAt: expect.any(String), finishedAt: expect.any(String) }],
      createdAt: expect.any(String),
      finishedAt: expect.any(String),
    });
  });

  it('is retried, and shows why each attempt failed', async () => {
    const job = await until(await newJob({ payload: { failures: 1 } }), 'succeeded');
    expect(job.attempts.map(({ error }) => error?.code)).toEqual(['DUMMY', undefined]);
  });

  it('is visible to its owner only', async () => {
    const id = await newJob(waiting);
    for (const part of ['', '/items', '/result', '/events']) {
      expect(await as(stranger).get(`/jobs/${id}${part}`)).toMatchObject(missing);
      expect((await anonymous.get(`/jobs/${id}${part}`)).status).toBe(401);
    }
    expect(await as(stranger).delete(`/jobs/${id}`)).toMatchObject(missing);
    expect(await as(stranger).post(`/jobs/${id}/retry`)).toMatchObject(missing);
    expect((await as(stranger).get('/jobs')).body?.data?.jobs).toEqual([]);
    expect((await read(id))?.state).toBe('scheduled');
  });

  it('shows its current state, from the cache too, as soon as it has changed', async () => {
    const id = await newJob(waiting);
    const sources: (string | null)[] = [];
    for (let time = 0; time < 2; time++) {
      const { headers, body } = await as(owner).get(`/jobs/${id}`);
      expect(body?.data?.job?.state).toBe('scheduled');
      sources.push(headers.get('x-data-source'));
    }
    expect(sources).toEqual(['database', 'cache']);
    expect((await as(owner).delete(`/jobs/${id}`)).status).toBe(200);
    const changed = await as(owner).get(`/jobs/${id}`);
    expect([changed.body?.data?.job?.state, changed.headers.get('x-data-source')]).toEqual(['cancelled', 'database']);
    const etag = changed.headers.get('etag') ?? '';
    expect((await as(owner).get(`/jobs/${id}`, { 'if-none-match': etag })).status).toBe(304);
  });

  it('cannot be cancelled twice, and can be retried after it was cancelled', async () => {
    const id = await newJob(waiting);
    await as(owner).delete(`/jobs/${id}`);
    expect(await as(owner).delete(`/jobs/${id}`)).toMatchObject(fails(400, 'JOB_ENDED'));
    expect(await as(owner).post(`/jobs/${id}/retry`)).toMatchObject({ status: 202, body: { data: { jobId: id } } });
    await until(id, 'succeeded');
    expect(await as(owner).post(`/jobs/${id}/retry`)).toMatchObject(fails(400, 'JOB_NOT_RETRIABLE'));
  });

  it('can be cancelled while it runs', async () => {
    const id = await newJob({ payload: { duration: 30_000 } });
    await until(id, 'running');
    expect((await as(owner).delete(`/jobs/${id}`)).status).toBe(200);
    const job = await until(id, 'cancelled');
    expect(job.attempts).toMatchObject([{ finishedAt: expect.any(String), error: { code: 'CANCELLED' } }]);
  });

  it('is the same when it is requested again with the same key', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const [first, again] = [
      await as(owner).post('/jobs', { type: 'dummy' }, key),
      await as(owner).post('/jobs', { type: 'dummy' }, key),
    ];
    expect(again.body?.data).toEqual(first.body?.data);
    expect([first, again].map(({ headers }) => headers.get('idempotency-replayed'))).toEqual([null, 'true']);
    const other = await as(owner).post('/jobs', { type: 'dummy', payload: { duration: 1 } }, key);
    expect(other).toMatchObject(fails(422, 'IDEMPOTENCY_KEY_REUSED'));
  });

  it('that requires an admin is refused to others before its input is checked', async () => {
    const mail = { to: 'chris@example.com', subject: 'Yes', body: 'No' };
    expect(await as(owner).post('/messages', mail)).toMatchObject(fails(403, 'FORBIDDEN'));
    expect(await as(owner).post('/jobs', { type: 'email', payload: mail })).toMatchObject(fails(403, 'FORBIDDEN'));
    const wrong = await as(owner).post('/messages/batch', { items: [mail, { ...mail, to: 'x' }] });
    expect([wrong.status, wrong.body?.errors?.[0]?.path]).toEqual([400, '/items/1/to']);
    const past = await as(owner).post('/jobs', { type: 'dummy', deliverAt: '2020-01-01T00:00:00Z' });
    expect([past.status, past.body?.errors?.[0]?.path]).toEqual([400, '/deliverAt']);
  });

  it('that repeats runs every quarter of an hour at most, and ends; it can be changed and cancelled', async () => {
    const often = { type: 'dummy', repeat: { cron: '* * * * * *', timeZone: 'Asia/Jakarta' } };
    expect(await as(owner).post('/jobs', often)).toMatchObject(fails(400, 'REPEATS_TOO_OFTEN'));
    const repeat = { cron: '*/15 * * * *', timeZone: 'Asia/Jakarta' };
    const id = await newJob({ repeat });
    const ends = { until: expect.any(String), count: 1_000 };
    expect(await read(id)).toMatchObject({ state: 'scheduled', repeat: { ...repeat, ...ends, missed: 'run-once' } });
    const until = new Date(Date.now() + 86_400_000).toISOString();
    const changed = await as(owner).patch(`/jobs/${id}`, { repeat: { cron: '0 * * * *', missed: 'skip', until } });
    expect(changed.status).toBe(200);
    expect(await read(id)).toMatchObject({ repeat: { ...repeat, cron: '0 * * * *', missed: 'skip', until } });
    expect(new Date((await read(id))?.deliverAt ?? '').getUTCMinutes()).toBe(0);
    const [weekly, key] = [{ repeat: { cron: '0 9 * * 1' } }, { 'idempotency-key': randomUUID() }];
    expect((await as(owner).patch(`/jobs/${id}`, weekly, key)).status).toBe(200);
    expect((await as(owner).delete(`/jobs/${id}`)).status).toBe(200);
    const again = await as(owner).patch(`/jobs/${id}`, weekly, key);
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([200, 'true']);
    expect(await as(owner).patch(`/jobs/${id}`, { repeat: {} })).toMatchObject(fails(400, 'NOT_REPEATING'));
  });
});

describe('the list of a user’s jobs', () => {
  it('filters by state and type, newest first, page by page', async () => {
    const person = await newPerson(base);
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.unshift(await newJob(waiting, person));
    await person.client.delete(`/jobs/${ids[2]}`);
    const found: string[] = [];
    for (let next: string | null | undefined = ''; next != null;) {
      const { body } = await person.client.get(`/jobs?type=dummy&state=scheduled&limit=2${next && `&cursor=${next}`}`);
      found.push(...(body?.data?.jobs ?? []).map(({ id }) => id));
      next = body?.data?.nextCursor;
    }
    expect(found).toEqual(ids.toSpliced(2, 1));
    expect((await person.client.get('/jobs?type=report')).body?.data?.jobs).toEqual([]);
  });
});

interface Told {
  readonly id: string;
  readonly data: { state: string; attempt: number };
}

/** Follows a job as an EventSource does. */
async function* follow(id: string, after?: number, signal?: AbortSignal): AsyncGenerator<Told> {
  const headers: Record<string, string> = { authorization: `Bearer ${owner!.accessToken}` };
  if (after !== undefined) headers['last-event-id'] = String(after);
  const answer = await fetch(`${base}/jobs/${id}/events`, { headers, signal });
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
  let text = '';
  for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + piece).split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const [, number = '', data = ''] = /^id: (\d+)\nevent: state\ndata: (.+)$/.exec(block) ?? [];
      if (number) yield { id: number, data: JSON.parse(data) as Told['data'] };
    }
  }
}

async function all(events: AsyncGenerator<Told>): Promise<Told[]> {
  const told: Told[] = [];
  for await (const event of events) told.push(event);
  return told;
}

describe('the event stream of a job', () => {
  it('sends events as they happen, and ends with the job', async () => {
    const id = await newJob(waiting);
    const events = follow(id);
    expect((await events.next()).value).toMatchObject({ id: '1', data: { state: 'scheduled' } });
    await as(owner).delete(`/jobs/${id}`);
    expect(await all(events)).toMatchObject([{ id: '2', data: { state: 'cancelled' } }]);
  });

  it('resumes where a client was disconnected, and then ends', async () => {
    const id = await newJob({ payload: { failures: 1 } });
    const told = await all(follow(id));
    expect(told.map(({ data }) => data.state)).toEqual([
      ...['queued', 'running', 'failed-retrying', 'running', 'succeeded'],
    ]);
    expect(await all(follow(id, 2))).toEqual(told.slice(2));
    const { status } = await as(owner).get(`/jobs/${id}/events`, { 'last-event-id': '5' });
    expect(status).toBe(204);
  });

  it('can be closed at any time', async () => {
    const id = await newJob(waiting);
    const leaving = new AbortController();
    const events = follow(id, undefined, leaving.signal);
    await events.next();
    leaving.abort();
    await expect(events.next()).rejects.toThrow('aborted');
    expect((await as(owner).delete(`/jobs/${id}`)).status).toBe(200);
  });
});

async function exported(playlistId: string): Promise<string> {
  const answer = await as(owner).post(`/export/playlists/${playlistId}`, { targetEmail: 'chris@example.com' });
  expect(answer).toMatchObject({ status: 201, body: { status: 'success', message: expect.any(String) } });
  return answer.body?.data?.jobId ?? '';
}

async function newPlaylist(...titles: string[]): Promise<string> {
  const id = (await as(owner).post('/playlists', { name: 'Morning' })).body?.data?.playlistId ?? '';
  for (const title of titles) {
    const song = await anonymous.post('/songs', { title, year: 2008, genre: 'Indie', performer: 'Coldplay' });
    await as(owner).post(`/playlists/${id}/songs`, { songId: song.body?.data?.songId });
  }
  return id;
}

describe('an export', () => {
  it('holds the playlist as it was when requested, and is downloaded by a link without a login', async () => {
    const playlistId = await newPlaylist('Yes', 'Lost!');
    const id = await exported(playlistId);
    await as(owner).delete(`/playlists/${playlistId}`);
    const job = await until(id, 'succeeded');
    const { status, body } = await as(owner).get(`/jobs/${id}/result`);
    expect([status, Date.parse(body?.data?.expiresAt ?? '')]).toEqual([200, expect.any(Number)]);
    const link = pathOf(body?.data?.url);
    const file = await anonymous.get(link);
    const songs = ['Yes', 'Lost!'].map((title) => ({ id: expect.any(String), title, performer: 'Coldplay' }));
    expect([file.status, file.body]).toEqual([200, { playlist: { id: playlistId, name: 'Morning', songs } }]);
    expect(file.headers.get('content-disposition')).toContain(`${playlistId}.json`);
    expect((await as(owner).get('/files')).body?.data?.files).toContainEqual({
      fileId: job.result?.fileId,
      kind: 'export',
      name: `${playlistId}.json`,
      size: file.text.length,
      jobId: id,
      createdAt: expect.any(String),
    });
    expect((await as(stranger).get('/files')).body?.data?.files).toEqual([]);
  });

  it('supports ranges, and needs its link', async () => {
    const id = await exported(await newPlaylist());
    await until(id, 'succeeded');
    const link = pathOf((await as(owner).get(`/jobs/${id}/result`)).body?.data?.url);
    const part = await anonymous.get(link, { range: 'bytes=0-11' });
    expect([part.status, part.text]).toEqual([206, '{"playlist":']);
    const head = await anonymous.send('HEAD', link);
    expect([head.status, head.text, Number(head.headers.get('content-length')) > 12]).toEqual([200, '', true]);
    const later = link.replace(/expires=(\d+)/, (_, seconds: string) => `expires=${Number(seconds) + 60}`);
    for (const wrong of [link.replace(/\?.*/, ''), `${link}x`, later, link.replace(/owner=user/, 'owner=other')]) {
      expect(await anonymous.get(wrong)).toMatchObject(fails(403, 'LINK_NOT_VALID'));
    }
  });

  it('is for the owner of an existing playlist', async () => {
    const playlistId = await newPlaylist();
    const ask = (person: Client, id: string, targetEmail = 'chris@example.com') =>
      person.post(`/export/playlists/${id}`, { targetEmail });
    expect((await ask(anonymous, playlistId)).status).toBe(401);
    expect(await ask(as(stranger), 'playlist-none', 'chris')).toMatchObject(fails(400, 'VALIDATION_FAILED'));
    expect(await ask(as(stranger), 'playlist-none')).toMatchObject(fails(404, 'PLAYLIST_NOT_FOUND'));
    expect(await ask(as(stranger), playlistId)).toMatchObject(fails(403, 'FORBIDDEN'));
  });
});

describe('a download', () => {
  async function newCover(): Promise<string> {
    const albumId = (await anonymous.post('/albums', { name: 'Viva la Vida', year: 2008 })).body?.data?.albumId ?? '';
    const raw = new FormData();
    raw.append('cover', new Blob([new Uint8Array(png())]), 'cover.png');
    expect((await anonymous.send('POST', `/albums/${albumId}/covers`, { raw })).status).toBe(201);
    return albumId;
  }

  it.each([
    ['/downloads', 'fileIds', '/jobs', ''],
    ['/v1/download/initiate', 'file_ids', '/v1/download/status', '/v1/download/result'],
  ])('packs the available files, by %s', async (initiate, field, status, result) => {
    const job = await until(await exported(await newPlaylist('Yes')), 'succeeded');
    const fileIds = [job.result?.fileId ?? '', await newCover(), 'file-none'];
    const check = initiate.replace(/\/initiate$/, '').concat('/check');
    const seen = (await as(owner).post(check, { [field]: fileIds })).body?.data?.files;
    expect(seen).toMatchObject([{ available: true }, { available: true }, { available: false, reason: 'NOT_FOUND' }]);
    const { status: accepted, body } = await as(owner).post(initiate, { [field]: fileIds });
    expect(accepted).toBe(202);
    const id = body?.data?.jobId ?? '';
    await until(id, 'succeeded');
    expect((await as(owner).get(`${status}/${id}`)).body?.data?.job).toMatchObject({
      type: 'archive',
      progress: { done: 2, total: 3, failed: 1 },
    });
    const items = (await as(owner).get(`/jobs/${id}/items`)).body?.data?.items;
    expect(items?.map(({ state }) => state)).toEqual(['done', 'done', 'failed']);
    const where = result ? `${result}/${id}` : `/jobs/${id}/result`;
    const archive = await anonymous.get(pathOf((await as(owner).get(where)).body?.data?.url));
    expect([archive.status, archive.headers.get('content-type')]).toEqual([200, 'application/zip']);
    expect(archive.text.slice(0, 2)).toBe('PK');
  });

  it('answers for another user’s file as for a missing one', async () => {
    const job = await until(await exported(await newPlaylist()), 'succeeded');
    const fileIds = [job.result?.fileId];
    const { body } = await as(stranger).post('/downloads/check', { fileIds });
    expect(body?.data?.files).toEqual([{ fileId: fileIds[0], available: false, reason: 'NOT_FOUND' }]);
    expect(await as(stranger).post('/downloads', { fileIds })).toMatchObject(fails(400, 'NO_FILES'));
  });

  it('is 404 for a job that makes no file or has not finished', async () => {
    const id = await newJob();
    await until(id, 'succeeded');
    expect(await as(owner).get(`/jobs/${id}/result`)).toMatchObject(fails(404, 'NO_RESULT_FILE'));
    expect(await as(owner).get(`/jobs/${await newJob(waiting)}/result`)).toMatchObject(fails(409, 'RESULT_NOT_READY'));
  });
});
