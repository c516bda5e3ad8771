import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { AnyEvent } from '../../src/events/events.ts';
import type { JobFile, JobRequest } from '../../src/events/jobs.ts';
import { changesOf } from '../../src/projections/engine/postgres-store.ts';
import type { AppliedEvent } from '../../src/projections/engine/applied-event.ts';
import type { Projection } from '../../src/projections/engine/table.ts';
import { projections } from '../../src/projections/projections.ts';
import { bulkSql } from '../../src/projections/engine/statement.ts';
import { BACKOFF, repeatOf } from '../support/jobs.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client(database.connection);
  await client.connect();
  await client.query('CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public');
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

/** In one batch, as one statement per write. */
async function apply(projection: Projection, events: readonly AppliedEvent[]): Promise<void> {
  for (const write of changesOf([projection], events).flatMap((changes) => changes.writes())) {
    const text = `WITH gate AS (SELECT true AS open) ${bulkSql(write).replaceAll('$n', '$1')}`;
    await client.query(text, [JSON.stringify(write.rows)]);
  }
}

/** The rows of the table after each of some batches was applied this many times, on an empty table. */
async function rowsAfter(
  projection: Projection,
  batches: readonly (readonly AppliedEvent[])[],
  times = 1,
): Promise<unknown[]> {
  await client.query(`TRUNCATE ${projection.table.name}`);
  for (const batch of batches) for (let left = times; left > 0; left--) await apply(projection, batch);
  return (await client.query<Record<string, unknown>>(`SELECT * FROM ${projection.table.name} ORDER BY 1`)).rows;
}

const history = (stream: string, ...events: readonly AnyEvent[]): AppliedEvent[] =>
  events.map((event, index) => ({
    stream,
    version: index + 1,
    time: '2026-01-01T00:00:00.000Z',
    actor: 'user-1',
    event,
  }));

const at = new Date('2026-01-01T00:00:00.000Z');
const about = { title: 'Yellow', year: 2000, genre: 'Rock', performer: 'Coldplay', duration: 266, albumId: 'album-1' };
const other = { title: 'Trouble', year: 2001, genre: 'Pop', performer: 'Others', duration: null, albumId: null };
const [albumId, songId, playlistId, jobId] = ['album-1', 'song-1', 'playlist-1', 'job-1'];
const albumCreated = { type: 'AlbumCreated', albumId, name: 'Parachutes', year: 2000 } as const;
const albumChanged = { type: 'AlbumChanged', albumId, name: 'X&Y', year: 2005 } as const;
const coverChanged = { type: 'AlbumCoverChanged', albumId, file: 'c.png', mediaType: 'image/png', size: 1 } as const;
const albumDeleted = { type: 'AlbumDeleted', albumId, name: 'X&Y', year: 2005 } as const;
const songCreated = { type: 'SongCreated', songId, ...about } as const;
const songChanged = { type: 'SongChanged', songId, ...other } as const;
const songDeleted = { type: 'SongDeleted', songId, title: 'Trouble', performer: 'Others', year: 2001 } as const;
const row = ({ albumId, ...rest }: typeof about | typeof other) => ({
  ...rest,
  album_id: albumId,
  folded_title: rest.title.toLowerCase(),
  folded_performer: rest.performer.toLowerCase(),
});

const entry = (entryId: string, orderKey: string) => ({ entryId, songId, title: 'Yellow', orderKey });
const songsAdded = (...entries: readonly ReturnType<typeof entry>[]) =>
  ({ type: 'SongsAddedToPlaylist', playlistId, entries, rekeyed: [] }) as const;
const first = songsAdded(entry('e1', 'a0'));
const second = songsAdded(entry('e2', 'a1'));
const both = songsAdded(entry('e1', 'a0'), entry('e2', 'a1'));
const between = { ...songsAdded(entry('e3', 'a1')), rekeyed: [{ entryId: 'e2', orderKey: 'a2' }] };
const moved: AnyEvent = {
  type: 'SongsMovedInPlaylist',
  playlistId,
  entries: [{ entryId: 'e1', songId, orderKey: 'a1' }],
  rekeyed: [{ entryId: 'e2', orderKey: 'a0' }],
};
const taken: AnyEvent = {
  type: 'SongRemovedFromPlaylist',
  playlistId,
  songId,
  entryIds: ['e1', 'e2'],
  title: 'Yellow',
  performer: 'Coldplay',
  year: 2000,
};
const restored: AnyEvent = {
  type: 'PlaylistRestored',
  playlistId,
  restoredVersion: 2,
  name: 'Noon',
  description: 'again',
  entries: [{ entryId: 'e2', orderKey: 'a5' }],
};
const visible = { description: null, visibility: 'private' };
const renamed = { type: 'PlaylistChanged', playlistId, name: 'Evening', ...visible, linkId: null } as const;
const playlistDeleted = { type: 'PlaylistDeleted', playlistId, name: 'Morning' } as const;
const undeleted = { type: 'PlaylistUndeleted', playlistId, name: 'Morning' } as const;
const shared = { type: 'CollaboratorAdded', playlistId, collaborationId: 'collab-1', accountId: 'user-2' } as const;
const unshared = { type: 'CollaboratorRemoved', playlistId, accountId: 'user-2' } as const;
const liked = { type: 'AlbumLiked', albumId: 'album-1', accountId: 'user-2' } as const;
const unliked = { ...liked, type: 'AlbumUnliked' } as const;
const songLiked = { type: 'SongLiked', songId, accountId: 'user-2' } as const;
const songUnliked = { ...songLiked, type: 'SongUnliked' } as const;
const playlist = (...events: readonly AnyEvent[]) =>
  history(
    'playlist-1',
    { type: 'PlaylistCreated', playlistId, name: 'Morning', ownerId: 'user-1', ...visible },
    ...events,
  );
const morning = { id: 'playlist-1', name: 'Morning', owner_id: 'user-1', entries_version: 1, deleted_at: null };
const place = { playlist_id: 'playlist-1', song_id: 'song-1' };
const activity = (version: number, action: string, nth = 0, title = 'Yellow') => ({
  id: `playlist-1/${version}/${nth}`,
  playlist_id: 'playlist-1',
  version,
  place: nth,
  actor: 'user-1',
  title,
  action,
  time: new Date('2026-01-01T00:00:00.000Z'),
});

const request: JobRequest = {
  jobType: 'dummy',
  ownerId: 'user-1',
  parameters: '{}',
  payloadId: 'job-1',
  provider: null,
  total: 3,
  attempts: 5,
  backoff: BACKOFF,
  priority: 0,
  runAt: null,
  repeat: null,
  parentId: 'job-0',
  replaces: 'job-x',
};
const monthly = { ...request, repeat: repeatOf('0 9 1 * *', 'UTC', '2026-02-01T09:00:00.000Z') };
const requested = { type: 'JobRequested', jobId, request } as const;
const began = (attempt: number, takesOver = false) =>
  ({ type: 'JobAttemptStarted', jobId, attempt, counted: 0, takesOver, worker: 'w' }) as const;
const retryAt = '2026-01-01T00:00:01.000Z';
const failed = (attempt: number) =>
  ({ type: 'JobAttemptFailed', jobId, attempt, counted: 1, code: 'C', error: 'e', retryAt }) as const;
const progressed = { type: 'JobProgressed', jobId, attempt: 1, done: 1, total: 3, failed: 0 } as const;
const stored = { stored: 'exports/1', name: 'a.json', kind: 'export', mediaType: 'application/json', size: 2 ** 40 };
const completed = (attempt: number, file: JobFile | null = null) =>
  ({ type: 'JobCompleted', jobId, attempt, done: 2, total: 3, failed: 1, file, result: '{"a":1}' }) as const;
const died = (attempt: number) => ({ type: 'JobDied', jobId, attempt, code: 'D', error: 'd' }) as const;
const occurred = (next: string | null) =>
  ({
    type: 'JobOccurred',
    jobId,
    occurrenceId: 'job-2',
    number: 1,
    at: monthly.repeat.first,
    passedOver: 0,
    next,
  }) as const;
const job = (...events: readonly AnyEvent[]) => history('job-1', requested, ...events);
const unmade = {
  file_id: null,
  file_stored: null,
  file_name: null,
  file_kind: null,
  file_media_type: null,
  file_size: null,
};
const made = {
  file_id: 'file-1',
  file_stored: 'exports/1',
  file_name: 'a.json',
  file_kind: 'export',
  file_media_type: 'application/json',
  file_size: String(2 ** 40),
};
const jobRow = {
  id: 'job-1',
  version: 1,
  owner_id: 'user-1',
  type: 'dummy',
  state: 'queued',
  done: 0,
  total: 3,
  failed: 0,
  created_at: at,
  run_at: null,
  finished_at: null,
  repeat_cron: null,
  repeat_zone: null,
  repeat_missed: null,
  repeat_until: null,
  repeat_count: null,
  payload_id: 'job-1',
  parent_id: 'job-0',
  replaces: 'job-x',
  dropped: false,
  result: null,
  ...unmade,
};
const attemptRow = (attempt: number, ended: object = { finished_at: null, code: null, error: null }) => ({
  id: `job-1/${attempt}`,
  job_id: 'job-1',
  attempt,
  started_at: at,
  ...ended,
});
const endedBy = (code: string | null, error: unknown) => ({ finished_at: at, code, error });

/** By projection: histories, in which each event is an arm of its apply, with the rows at the end of each. */
const cases: Record<string, [string, AppliedEvent[], object[]][]> = {
  albums: [
    [
      'created',
      history('album-1', albumCreated),
      [{ id: 'album-1', version: 1, name: 'Parachutes', year: 2000, cover: null }],
    ],
    [
      'changed',
      history('album-1', albumCreated, albumChanged),
      [{ id: 'album-1', version: 2, name: 'X&Y', year: 2005, cover: null }],
    ],
    [
      'with a cover',
      history('album-1', albumCreated, coverChanged, albumChanged),
      [{ id: 'album-1', version: 3, name: 'X&Y', year: 2005, cover: 'c.png' }],
    ],
    ['deleted', history('album-1', albumCreated, albumChanged, albumDeleted), []],
    ['of another category', history('song-1', songCreated, songChanged, songDeleted), []],
  ],
  songs: [
    ['created', history('song-1', songCreated), [{ id: 'song-1', version: 1, ...row(about) }]],
    ['changed', history('song-1', songCreated, songChanged), [{ id: 'song-1', version: 2, ...row(other) }]],
    ['deleted', history('song-1', songCreated, songChanged, songDeleted), []],
    ['of another category', history('album-1', albumCreated, albumChanged, albumDeleted), []],
  ],
  playlists: [
    ['created', playlist(), [{ ...morning, version: 1 }]],
    ['renamed', playlist(renamed), [{ ...morning, version: 2, name: 'Evening' }]],
    ['with songs', playlist(first, second, moved, taken), [{ ...morning, version: 5 }]],
    ['shared', playlist(shared, unshared), [{ ...morning, version: 3 }]],
    ['deleted', playlist(first, playlistDeleted), [{ ...morning, version: 3, deleted_at: at }]],
    ['back again', playlist(first, playlistDeleted, undeleted), [{ ...morning, version: 4 }]],
    [
      'restored',
      playlist(both, renamed, restored, first),
      [{ ...morning, version: 5, name: 'Noon', entries_version: 4 }],
    ],
  ],
  playlist_entries: [
    [
      'added',
      playlist(first, second),
      [
        { ...place, id: 'e1', order_key: 'a0', version: 2 },
        { ...place, id: 'e2', order_key: 'a1', version: 3 },
      ],
    ],
    [
      'added together, and between others, which get other keys',
      playlist(both, between),
      [
        { ...place, id: 'e1', order_key: 'a0', version: 2 },
        { ...place, id: 'e2', order_key: 'a2', version: 2 },
        { ...place, id: 'e3', order_key: 'a1', version: 3 },
      ],
    ],
    [
      'moved',
      playlist(both, moved),
      [
        { ...place, id: 'e1', order_key: 'a1', version: 2 },
        { ...place, id: 'e2', order_key: 'a0', version: 2 },
      ],
    ],
    [
      'taken out',
      playlist(first, second, taken),
      [
        { ...place, id: 'e1', order_key: 'a0', version: 0 },
        { ...place, id: 'e2', order_key: 'a1', version: 0 },
      ],
    ],
    ['and added again', playlist(first, taken, first), [{ ...place, id: 'e1', order_key: 'a0', version: 4 }]],
    [
      'restored after they were taken out, those that are listed',
      playlist(both, taken, restored),
      [
        { ...place, id: 'e1', order_key: 'a0', version: 0 },
        { ...place, id: 'e2', order_key: 'a5', version: 4 },
      ],
    ],
    [
      'not restored, and below the version of the list',
      playlist(both, restored),
      [
        { ...place, id: 'e1', order_key: 'a0', version: 2 },
        { ...place, id: 'e2', order_key: 'a5', version: 3 },
      ],
    ],
  ],
  collaborations: [
    ['added', playlist(shared), [{ id: 'playlist-1/user-2', playlist_id: 'playlist-1', account_id: 'user-2' }]],
    ['removed', playlist(shared, unshared), []],
  ],
  playlist_activities: [
    ['of all songs', playlist(first, taken), [activity(2, 'add'), activity(3, 'delete')]],
    ['of each of many songs', playlist(both), [activity(2, 'add'), activity(2, 'add', 1)]],
    [
      'of what came back',
      playlist(renamed, restored, playlistDeleted, undeleted),
      [activity(3, 'restore', 0, restored.name), activity(5, 'undelete', 0, 'Morning')],
    ],
    ['of nothing else', playlist(shared, unshared, renamed, moved, playlistDeleted), []],
  ],
  likes: [
    [
      'given',
      history('like-album-1-user-2', liked),
      [{ id: 'like-album-1-user-2', liked_id: 'album-1', account_id: 'user-2' }],
    ],
    ['taken back', history('like-album-1-user-2', liked, unliked), []],
    [
      'of a song',
      history('like-song-1-user-2', songLiked, songUnliked, songLiked),
      [{ id: 'like-song-1-user-2', liked_id: 'song-1', account_id: 'user-2' }],
    ],
    ['of a song, taken back', history('like-song-1-user-2', songLiked, songUnliked), []],
  ],
};

cases.jobs = [
  ['asked for', job(), [jobRow]],
  [
    'for later',
    history('job-1', { type: 'JobRequested', jobId, request: { ...request, runAt: retryAt } }),
    [{ ...jobRow, state: 'scheduled', run_at: new Date(retryAt) }],
  ],
  ['begun', job(began(1)), [{ ...jobRow, version: 2, state: 'running' }]],
  ['failed once', job(began(1), failed(1)), [{ ...jobRow, version: 3, state: 'failed-retrying' }]],
  ['on its way', job(began(1), progressed), [{ ...jobRow, version: 3, state: 'running', done: 1 }]],
  [
    'done',
    job(began(1), completed(1, { fileId: 'file-1', ...stored })),
    [{ ...jobRow, version: 3, state: 'succeeded', done: 2, failed: 1, finished_at: at, result: '{"a":1}', ...made }],
  ],
  ['dead', job(began(1), died(1)), [{ ...jobRow, version: 3, state: 'dead', finished_at: at }]],
  [
    'dead, without a notification',
    job(began(1), died(1), { type: 'DeadLetterDropped', jobId }),
    [{ ...jobRow, version: 4, state: 'dead', finished_at: at, dropped: true }],
  ],
  [
    'cancelled',
    job({ type: 'JobCancelled', jobId, attempt: 0 }),
    [{ ...jobRow, version: 2, state: 'cancelled', finished_at: at }],
  ],
  [
    'to be done again',
    job(began(1), progressed, died(1), { type: 'JobRetried', jobId, request, attempt: 1, failedOnly: false }),
    [{ ...jobRow, version: 5 }],
  ],
  [
    'of which a part is to be done again',
    job(began(1), completed(1, { fileId: 'file-1', ...stored }), {
      type: 'JobRetried',
      jobId,
      request,
      attempt: 1,
      failedOnly: true,
    }),
    [{ ...jobRow, version: 4 }],
  ],
  [
    'that repeats',
    history('job-1', { type: 'JobRequested', jobId, request: monthly }, occurred('2026-03-01T09:00:00.000Z')),
    [
      {
        ...jobRow,
        version: 2,
        state: 'scheduled',
        run_at: new Date('2026-03-01T09:00:00.000Z'),
        repeat_cron: '0 9 1 * *',
        repeat_zone: 'UTC',
        repeat_missed: 'run-once',
      },
    ],
  ],
  [
    'that repeats in another way',
    history(
      'job-1',
      { type: 'JobRequested', jobId, request: monthly },
      { type: 'JobRepeatChanged', jobId, repeat: repeatOf('0 9 * * 1', 'Asia/Jakarta', '2026-02-02T02:00:00.000Z') },
    ),
    [
      {
        ...jobRow,
        version: 2,
        state: 'scheduled',
        run_at: new Date('2026-02-02T02:00:00.000Z'),
        repeat_cron: '0 9 * * 1',
        repeat_zone: 'Asia/Jakarta',
        repeat_missed: 'run-once',
      },
    ],
  ],
  [
    'that has repeated',
    history('job-1', { type: 'JobRequested', jobId, request: monthly }, occurred(null)),
    [
      {
        ...jobRow,
        version: 2,
        state: 'succeeded',
        run_at: new Date(monthly.repeat.first),
        finished_at: at,
        repeat_cron: '0 9 1 * *',
        repeat_zone: 'UTC',
        repeat_missed: 'run-once',
      },
    ],
  ],
];
cases.job_attempts = [
  ['none yet', job(), []],
  ['begun', job(began(1)), [attemptRow(1)]],
  ['failed, and begun again', job(began(1), failed(1), began(2)), [attemptRow(1, endedBy('C', 'e')), attemptRow(2)]],
  ['the last', job(began(1), died(1)), [attemptRow(1, endedBy('D', 'd'))]],
  ['done', job(began(1), completed(1)), [attemptRow(1, endedBy(null, null))]],
  [
    'taken over',
    job(began(1), began(2, true)),
    [attemptRow(1, endedBy('WORKER_LOST', expect.any(String))), attemptRow(2)],
  ],
  [
    'called off',
    job(began(1), { type: 'JobCancelled', jobId, attempt: 1 }),
    [attemptRow(1, endedBy('CANCELLED', expect.any(String)))],
  ],
  [
    'called off between attempts',
    job(began(1), failed(1), { type: 'JobCancelled', jobId, attempt: 0 }),
    [attemptRow(1, endedBy('C', 'e'))],
  ],
];

/**
 * Counters are not idempotent: applied twice they are twice as large. The checkpoint makes sure that nothing is applied
 * twice.
 */
const counted: Record<string, [string, AppliedEvent[], object[]][]> = {
  like_counts: [
    ['given', history('like-album-1-user-2', liked), [{ liked_id: 'album-1', likes: 1 }]],
    [
      'given, taken back, and given',
      history('like-album-1-user-2', liked, unliked, liked),
      [{ liked_id: 'album-1', likes: 1 }],
    ],
    ['taken back', history('like-album-1-user-2', liked, unliked), [{ liked_id: 'album-1', likes: 0 }]],
    ['of a song', history('like-song-1-user-2', songLiked), [{ liked_id: 'song-1', likes: 1 }]],
    [
      'of a song, taken back',
      history('like-song-1-user-2', songLiked, songUnliked),
      [{ liked_id: 'song-1', likes: 0 }],
    ],
  ],
};

describe.each(projections.map((projection) => [projection.table.name, projection] as const))(
  '%s',
  (name, projection) => {
    beforeAll(async () => {
      await client.query(projection.ddl);
    });

    it('has histories here for every projection', () => expect(cases[name] ?? counted[name]).toBeDefined());

    for (const [what, events, rows] of cases[name] ?? []) {
      it(`${what}: the rows are the same applied once, twice, in one batch and one by one`, async () => {
        const oneByOne = events.map((each) => [each]);
        expect(await rowsAfter(projection, oneByOne)).toEqual(rows);
        expect(await rowsAfter(projection, oneByOne, 2)).toEqual(rows);
        expect(await rowsAfter(projection, [events])).toEqual(rows);
        expect(await rowsAfter(projection, [events], 2)).toEqual(rows);
      });
    }

    for (const [what, events, rows] of counted[name] ?? []) {
      it(`${what}: the rows are the same in one batch and one by one`, async () => {
        const oneByOne = events.map((each) => [each]);
        expect(await rowsAfter(projection, oneByOne)).toEqual(rows);
        expect(await rowsAfter(projection, [events])).toEqual(rows);
      });
    }

    it('names all its columns in its DDL', async () => {
      const { fields } = await client.query(`SELECT * FROM ${name}`);
      expect(fields.map((field) => field.name)).toEqual(Object.keys(projection.table.columns));
    });
  },
);
