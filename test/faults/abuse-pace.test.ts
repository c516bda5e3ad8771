import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { unharmed } from '../support/abuse.ts';
import { type AnswerBody, createClient } from '../support/client.ts';
import { type JobsApp, runOrThrow, startJobsApp } from '../support/jobs-faults.ts';
import { begin, untilJob, untilOver } from '../support/jobs-client.ts';
import { eventually } from '../support/observed.ts';
import {
  getOnOwnConnection,
  resourceUseOf,
  otherClientsDuring,
  type ClientResults,
  untilResourcesAreFreed,
} from '../support/other-clients.ts';
import { newPerson } from '../support/people.ts';
import { dial } from '../support/raw-http.ts';

/** 10 MB as JSON. */
const SONGS = 10_000;
const TITLE = 'la '.repeat(300);
const WITHIN_MS = 240_000;
/** Connections of the pool that reads and commands share. */
const READ_CONNECTIONS = 10;

let app: JobsApp;
let database: pg.Client;
let quiet: ClientResults;
beforeAll(async () => {
  app = await startJobsApp({ env: { JOB_ATTEMPTS: '1' } });
  database = new pg.Client(app.connection);
  await database.connect();
  const { rows } = await database.query<{ schema_name: string }>(
    `SELECT schema_name FROM openmusic.generations WHERE state = 'serving'`,
  );
  await database.query(`SET search_path = "${rows[0]?.schema_name ?? ''}", openmusic, public`);
  await database.query(
    `INSERT INTO songs SELECT 'song-' || to_char(n, 'FM000000'), 1, title, 2000, 'Pop', 'p', NULL, NULL, title, 'p'
     FROM generate_series(1, $1::int) n, LATERAL (SELECT 'song ' || n || ' ' || $2 AS title) t`,
    [SONGS, TITLE],
  );
  await database.query('VACUUM ANALYZE songs');
  await several(10, () => getOnOwnConnection(`${app.url}/songs`)); // opens every connection
  for (let round = 0; round < 2; round++) quiet = await otherClientsDuring(app.url, delay(3_000));
}, WITHIN_MS);
afterAll(async () => {
  await database.end();
  await app.stop();
});

/** Other clients must not notice the abuse, and the process must use no more memory afterwards. */
async function unnoticed(abuse: () => Promise<unknown>): Promise<void> {
  const before = await resourceUseOf(app.process());
  const { p99Ms, paceMs, errors } = await otherClientsDuring(app.url, abuse());
  expect(errors).toEqual([]);
  expect(p99Ms).toBeLessThan(unharmed({ ms: quiet.p99Ms, paceMs: quiet.paceMs }, paceMs));
  await untilResourcesAreFreed(before, app.process(), 60_000);
}

const GET_ALL = 'GET /songs HTTP/1.1\r\nHost: x\r\n\r\n';

const several = <T>(count: number, make: () => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, make));

async function silent(bytes: string): Promise<Socket> {
  const socket = await dial(app.url);
  socket.on('error', () => undefined).pause();
  socket.write(bytes);
  return socket;
}

/** Resolves when the server has closed the connection, or reset it. The connection is read from now on. */
async function cut(socket: Socket): Promise<void> {
  socket.resume();
  // `once` of node:events would reject on the reset, which comes while the client still sends.
  if (!socket.closed) await new Promise<unknown>((resolve) => socket.once('close', resolve));
}

describe('a client that reads slowly', () => {
  it(
    'does not block other clients: ten full lists, a little at a time',
    async () => {
      await unnoticed(async () => {
        const sockets = await several(10, () => silent(GET_ALL));
        for (let n = 0; n < 30; n++) {
          for (const socket of sockets) socket.read(1_024);
          await delay(200);
        }
        for (const socket of sockets) socket.destroy();
      });
    },
    WITHIN_MS,
  );

  it(
    'is disconnected when it reads nothing: eleven full lists on one connection',
    async () => {
      await unnoticed(async () => {
        const socket = await silent(GET_ALL.repeat(11));
        const began = performance.now();
        await eventually(
          'it is cut',
          async () => {
            socket.write('\r\n');
            await delay(100);
            return socket.destroyed || socket.errored !== null;
          },
          60_000,
        );
        expect(performance.now() - began).toBeGreaterThan(15_000);
        socket.destroy();
      });
    },
    WITHIN_MS,
  );
});

describe('normal load', () => {
  it(
    'of thirty full lists at once gives each client the whole list, or says when to retry',
    async () => {
      let answers: Awaited<ReturnType<typeof getOnOwnConnection>>[] = [];
      await unnoticed(async () => {
        answers = await several(30, () => getOnOwnConnection(`${app.url}/songs`));
      });
      const whole = answers.filter(({ status }) => status === 200);
      expect(whole.length).toBeGreaterThanOrEqual(8);
      for (const { text } of whole) expect((JSON.parse(text) as AnswerBody).data?.songs).toHaveLength(SONGS);
      const refused = answers.filter(({ status }) => status !== 200);
      expect(refused.every(({ status, retryAfter }) => status === 503 && retryAfter > 0)).toBe(true);
    },
    WITHIN_MS,
  );

  it(
    'of forty searches that scan every song is answered',
    async () => {
      await unnoticed(async () => {
        const answers = await several(40, () => getOnOwnConnection(`${app.url}/songs?title=xq&performer=zz`));
        expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(['{"status":"success","data":{"songs":[]}}']));
      });
    },
    WITHIN_MS,
  );

  it(
    'lists each song that existed throughout exactly once, while others change',
    async () => {
      let isRead = false;
      const change = async () => {
        for (let n = 0; !isRead; n++) {
          const id = `song-${String(n % SONGS).padStart(6, '0')}x`;
          await database.query(
            `INSERT INTO songs VALUES ($1, 1, 'new', 2000, 'Pop', 'p', NULL, NULL, 'new', 'p') ON CONFLICT DO NOTHING`,
            [id],
          );
          await database.query(`DELETE FROM songs WHERE id = $1`, [
            `song-${String((n * 7) % SONGS).padStart(6, '0')}x`,
          ]);
          const renamed = `song-${String(((n * 13) % SONGS) + 1).padStart(6, '0')}`;
          await database.query(`UPDATE songs SET title = title || '!' WHERE id = $1`, [renamed]);
        }
      };
      const changing = change();
      try {
        for (const query of ['', '?title=song', '?title=so']) {
          const { body } = await createClient(app.url).get(`/songs${query}`);
          const ids = body?.data?.songs?.map(({ id }) => id).filter((id) => !id.endsWith('x')) ?? [];
          expect(ids).toEqual(Array.from({ length: SONGS }, (_, n) => `song-${String(n + 1).padStart(6, '0')}`));
        }
      } finally {
        isRead = true;
        await changing;
      }
      await database.query(`DELETE FROM songs WHERE id LIKE '%x'`);
    },
    WITHIN_MS,
  );

  it(
    'uses no attempt of a job that finds no free connection',
    async () => {
      const song = { kind: 'song', title: 'Yellow', performer: 'Coldplay', genre: 'Rock', year: 2000 };
      const payload = { format: 'ndjson', data: `${JSON.stringify(song)}\n`.repeat(3_000) };
      const id = await begin(app.admin, '/jobs', { type: 'import-catalog', payload });
      await untilJob(app.admin, id, 'imports', ({ progress }) => progress.done > 0);
      await withoutConnections();
      const [job] = await untilOver(app.admin, [id], 120_000);
      // The job has one attempt (JOB_ATTEMPTS), and would be dead if an attempt without a connection counted.
      expect(job).toMatchObject({ state: 'succeeded', progress: { done: 3_000, failed: 0 } });
      expect(job?.attempts[0]?.error?.code).toBe('DATABASE_UNAVAILABLE');
      expect(job?.attempts.length).toBeGreaterThan(1);
    },
    WITHIN_MS,
  );

  /** Makes all connections for reads wait for a locked table, until another read has waited in vain for one. */
  async function withoutConnections(): Promise<void> {
    await database.query('BEGIN; LOCK TABLE like_counts');
    const count = (n: number) => getOnOwnConnection(`${app.url}/albums/album-${n}/likes`);
    const held = Promise.all(Array.from({ length: READ_CONNECTIONS }, (_, n) => count(n)));
    await eventually('all connections wait', async () => {
      const { rows } = await database.query<{ waiting: number }>(
        'SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted AND relation = $1::regclass',
        ['like_counts'],
      );
      return rows[0]?.waiting === READ_CONNECTIONS;
    });
    expect((await count(READ_CONNECTIONS)).status).toBe(503);
    await database.query('ROLLBACK');
    await held;
  }
});

describe('a long answer', () => {
  const ids = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, n) => `song-${String(from + n).padStart(6, '0')}`);

  it(
    'is complete and in order: an album, with an ETag that can guard a change',
    async () => {
      const client = createClient(app.url);
      const { body } = await client.post('/albums', { name: 'Long', year: 2000 });
      const id = body?.data?.albumId ?? '';
      await database.query(`UPDATE songs SET album_id = $1 WHERE id <= $2 AND title LIKE 'song %'`, [
        id,
        'song-003000',
      ]);
      const { headers, body: read } = await client.get(`/albums/${id}`);
      expect(read?.data?.album).toMatchObject({ id, name: 'Long', year: 2000, coverUrl: null });
      expect(read?.data?.album?.songs.map((song) => song.id)).toEqual(ids(1, 3_000));
      const etag = headers.get('etag') ?? '';
      expect((await client.get(`/albums/${id}`, { 'if-none-match': etag })).status).toBe(200);
      expect((await client.put(`/albums/${id}`, { name: 'Longer', year: 2000 }, { 'if-match': etag })).status).toBe(
        200,
      );
      expect((await client.put(`/albums/${id}`, { name: 'Long', year: 2000 }, { 'if-match': etag })).status).toBe(412);
    },
    WITHIN_MS,
  );

  it(
    'is complete and in order: a playlist with a song twice, its activities, and a list of playlists',
    async () => {
      const { client, id: owner } = await newPerson(app.url);
      const { body } = await client.post('/playlists', { name: 'Long' });
      const id = body?.data?.playlistId ?? '';
      await database.query(
        `INSERT INTO playlist_entries SELECT 'entry-' || n, $1, to_char(n, 'FM000000'), 1,
         'song-' || to_char(2501 - greatest(n, 2), 'FM000000') FROM generate_series(1, 2500) n`,
        [id],
      );
      await database.query(
        `INSERT INTO playlist_activities SELECT $1 || '/' || n, $1, n, 0, $2, 'title ' || n, 'add', now() FROM generate_series(1, 3000) n`,
        [id, owner],
      );
      await database.query(
        `INSERT INTO playlists SELECT 'playlist-' || to_char(n, 'FM000000'), 1, 'Short', $1, 1, NULL FROM generate_series(1, 1500) n`,
        [owner],
      );
      const { body: read } = await client.get(`/playlists/${id}/songs`);
      const expected = ids(1, 2_499).toReversed();
      expect(read?.data?.playlist?.songs.map((song) => song.id)).toEqual([expected[0], ...expected]);
      const { body: told } = await client.get(`/playlists/${id}/activities`);
      expect(told?.data?.activities?.map(({ title }) => title)).toEqual(
        Array.from({ length: 3_000 }, (_, n) => `title ${n + 1}`),
      );
      const { body: listed } = await client.get('/playlists');
      const names = Array.from({ length: 1_500 }, (_, n) => `playlist-${String(n + 1).padStart(6, '0')}`);
      expect(listed?.data?.playlists?.map((playlist) => playlist.id).toSorted()).toEqual([...names, id].toSorted());
    },
    WITHIN_MS,
  );

  it(
    'is complete and in order: a page of jobs, and the next one',
    async () => {
      const { client, id: owner } = await newPerson(app.url);
      await database.query(
        `INSERT INTO jobs (id, version, owner_id, type, state, done, total, failed, created_at, dropped, result)
       SELECT 'job-' || n, 3, $1, 'dummy', 'succeeded', 1, 1, 0, '2026-01-01'::timestamptz + n * interval '1 s', false,
         json_build_object('x', repeat('x', 5000)) FROM generate_series(1, 1500) n`,
        [owner],
      );
      const { body } = await client.get('/jobs?limit=1000');
      const { body: rest } = await client.get(`/jobs?limit=1000&cursor=${body?.data?.nextCursor ?? ''}`);
      expect(body?.data?.jobs).toHaveLength(1_000);
      expect([...(body?.data?.jobs ?? []), ...(rest?.data?.jobs ?? [])].map(({ id }) => id)).toEqual(
        Array.from({ length: 1_500 }, (_, n) => `job-${1_500 - n}`),
      );
      expect(rest?.data?.nextCursor).toBeNull();
    },
    WITHIN_MS,
  );
});

describe('a client that sends slowly', () => {
  it(
    'is disconnected soon after its 408: three hundred connections that send their headers slowly',
    async () => {
      await unnoticed(async () => {
        const sockets = await several(300, () => silent('GET / HTTP/1.1\r\n'));
        const dribble = setInterval(() => {
          for (const socket of sockets) if (socket.writable) socket.write('X-A: b\r\n');
        }, 500);
        await Promise.all(sockets.map(cut));
        clearInterval(dribble);
      });
    },
    WITHIN_MS,
  );

  it(
    'is disconnected soon after its 413: a body without an end',
    async () => {
      await unnoticed(async () => {
        const socket = await silent(
          'POST /albums HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
        );
        const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
        const began = performance.now();
        const endless = setInterval(() => socket.writable && socket.write(chunk), 50);
        await cut(socket);
        clearInterval(endless);
        expect(performance.now() - began).toBeLessThan(15_000);
      });
    },
    WITHIN_MS,
  );

  it(
    'uses little memory: sixty batches of 5 MiB that do not end',
    async () => {
      const { memory } = await resourceUseOf(app.process());
      const { username, password } = await newPerson(app.url);
      await runOrThrow(['accounts', 'grant-admin', username], app.env);
      const { body: login } = await createClient(app.url).post('/authentications', { username, password });
      const token = login?.data?.accessToken ?? '';
      const body = `{"items":["${'x'.repeat(3_000_000)}`;
      const head = `POST /messages/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
      await unnoticed(async () => {
        const sockets = await several(60, () => silent(`${head}Content-Length: 5242880\r\n\r\n${body}`));
        await delay(5_000);
        expect((await resourceUseOf(app.process())).memory - memory).toBeLessThan(60_000_000);
        for (const socket of sockets) socket.destroy();
      });
    },
    WITHIN_MS,
  );
});
