import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '../support/client.ts';
import { type JobsApp, runOrThrow, startJobsApp } from '../support/jobs-faults.ts';
import { newPerson } from '../support/people.ts';

let app: JobsApp;
let token: string;
beforeAll(async () => {
  app = await startJobsApp();
  const { username, password } = await newPerson(app.url);
  await runOrThrow(['accounts', 'grant', username, 'analytics'], app.env);
  token = (await createClient(app.url).post('/authentications', { username, password })).body?.data?.accessToken ?? '';
}, 180_000);
afterAll(() => app.stop());

interface Line {
  readonly type: string;
  readonly subject: string;
  readonly position: string;
  readonly data: Record<string, unknown>;
}

const ask = (query = '', headers: Record<string, string> = {}) =>
  fetch(`${app.url}/events${query}`, { headers: { authorization: `Bearer ${token}`, ...headers } });

async function read(query?: string): Promise<Line[]> {
  const text = await (await ask(query)).text();
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
}

async function newAlbum(name: string): Promise<string> {
  return (await createClient(app.url).post('/albums', { name, year: 2001 })).body?.data?.albumId ?? '';
}

/** Server-sent events, one after the other, until `wanted` of them came. */
async function follow(wanted: number, headers: Record<string, string> = {}, query = '') {
  const leaving = new AbortController();
  const answer = await fetch(`${app.url}/events${query}`, {
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream', ...headers },
    signal: leaving.signal,
  });
  const events: { id: string; line: Line }[] = [];
  let text = '';
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const whole = text.split('\n\n');
    text = whole.pop() ?? '';
    for (const each of whole) {
      const [, id = '', data = ''] = /^id: (.*)\ndata: (.*)$/.exec(each) ?? [];
      if (data !== '') events.push({ id, line: JSON.parse(data) as Line });
    }
    if (events.length >= wanted) break;
  }
  leaving.abort();
  return { type: answer.headers.get('content-type'), events };
}

describe('GET /events', () => {
  it('gives accepted events as NDJSON, up to what was answered before the request', async () => {
    const albums = [await newAlbum('one'), await newAlbum('two')];
    const answer = await ask();
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
    await answer.text();
    const events = await read('?category=catalog');
    expect(events.map(({ subject }) => subject)).toEqual(expect.arrayContaining(albums));
    expect(events.every(({ subject }) => !subject.startsWith('genesis'))).toBe(true);
  });

  it('goes on after any line from its position, without a gap or a repeat', async () => {
    for (let n = 0; n < 10; n++) await newAlbum(`album ${n}`);
    const all = await read();
    for (const at of [0, Math.floor(all.length / 2), all.length - 1]) {
      const rest = await read(`?from=${all[at]!.position}`);
      expect(rest.map(({ subject }) => subject)).toEqual(
        expect.arrayContaining(all.slice(at + 1).map((e) => e.subject)),
      );
      expect(rest).toHaveLength(all.length - at - 1);
    }
  });

  it('ends after the limit, and goes on from there', async () => {
    const all = await read();
    const first = await read('?limit=3');
    expect(first).toHaveLength(3);
    expect(await read(`?from=${first.at(-1)!.position}`)).toHaveLength(all.length - 3);
  });

  it('filters by stream, type and category', async () => {
    const id = await newAlbum('filtered');
    await createClient(app.url).put(`/albums/${id}`, { name: 'renamed', year: 2002 });
    const types = async (query: string) => (await read(query)).map(({ type }) => type);
    expect(await types(`?stream=${id}`)).toEqual(['openmusic.AlbumCreated', 'openmusic.AlbumChanged']);
    expect(await types(`?stream=${id}&type=AlbumChanged`)).toEqual(['openmusic.AlbumChanged']);
    expect(await types(`?stream=${id}&category=likes`)).toEqual([]);
    expect(new Set(await types('?type=openmusic.AlbumCreated'))).toEqual(new Set(['openmusic.AlbumCreated']));
  });

  it('compresses when asked', async () => {
    const answer = await ask('?limit=2', { 'accept-encoding': 'gzip' });
    expect(answer.headers.get('content-encoding')).toBe('gzip');
    expect((await answer.text()).trim().split('\n')).toHaveLength(2);
  });

  it('follows the log as server-sent events, and resumes after the last event id', async () => {
    const all = await read();
    const following = follow(all.length + 1);
    const id = await newAlbum('live');
    const { type, events } = await following;
    expect([type, events.at(-1)?.line.subject]).toEqual(['text/event-stream', id]);
    const { events: rest } = await follow(1, { 'last-event-id': events.at(-2)!.id });
    expect(rest.map(({ line }) => line.subject)).toEqual([id]);
  });

  it('refuses a position of another log', async () => {
    const answer = await ask('?from=ffffffff.0.0.0.0.0.0.0.0');
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([400, 'POSITION_INVALID']);
  });

  it('is for the roles analytics and admin only', async () => {
    const { client } = await newPerson(app.url);
    expect((await createClient(app.url).get('/events')).status).toBe(401);
    expect((await client.get('/events')).status).toBe(403);
    expect((await app.admin.get('/events?limit=1')).status).toBe(200);
  });

  it('shows nothing personal of a job', async () => {
    const secrets = { to: 'reader-7@example.org', subject: 'a private subject', body: 'a private body' };
    const { body } = await app.admin.post('/messages', secrets);
    const id = body?.data?.jobId ?? '';
    const events = await read(`?stream=${id}`);
    expect(events[0]).toMatchObject({ type: 'openmusic.JobRequested', subject: id });
    for (const text of Object.values(secrets)) expect(JSON.stringify(events)).not.toContain(text);
  });
});
