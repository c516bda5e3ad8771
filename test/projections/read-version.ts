import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { decodeEvent } from '../../src/events/codec.ts';
import type { AnyEvent } from '../../src/events/events.ts';
import { streamEvents } from '../../src/event-store/stream-index.ts';
import { changesOf } from '../../src/projections/engine/postgres-store.ts';
import type { Projection } from '../../src/projections/engine/table.ts';
import { checkpointDdl } from '../../src/projections/engine/statement.ts';
import { projections, READ_VERSION } from '../../src/projections/projections.ts';
import { golden } from '../support/golden.ts';

/** `read-version.lock.json`: what the tables of a read version are, and what rows the projections make. */
export interface ReadVersionLock {
  readonly readVersion: number;
  /** sha256 by table; `engine` is what a generation holds besides. */
  readonly ddl: Readonly<Record<string, string>>;
  /** sha256 by table of the rows that the sample events make. */
  readonly rows: Readonly<Record<string, string>>;
}

export const LOCK_FILE = new URL('../../src/projections/read-version.lock.json', import.meta.url);

export const readLock = (): ReadVersionLock | undefined =>
  existsSync(LOCK_FILE) ? (JSON.parse(readFileSync(LOCK_FILE, 'utf8')) as ReadVersionLock) : undefined;

export const currentLock = (): ReadVersionLock => lockOf(READ_VERSION, projections);

export const lockOf = (readVersion: number, all: readonly Projection[]): ReadVersionLock => ({
  readVersion,
  ddl: {
    engine: hashOfDdl(checkpointDdl + streamEvents.ddl),
    ...Object.fromEntries(all.map(({ table, ddl }) => [table.name, hashOfDdl(ddl)])),
  },
  rows: Object.fromEntries(all.map((projection) => [projection.table.name, hashOfRows(projection)])),
});

/** Comments and spaces make no other table. */
const hashOfDdl = (ddl: string): string =>
  hash(
    'sha256',
    ddl
      .replace(/--.*$/gm, '')
      .replace(/\s+/g, ' ')
      .replace(/ ?([(),;]) ?/g, '$1')
      .trim(),
  );

const TIME = '2030-01-01T00:00:00.000Z';

/** The writes of each sample event by itself. An event that writes nothing here is left out, so a new one does not count. */
function hashOfRows(projection: Projection): string {
  const applied = samples.map((event) => ({ stream: 'stream-1', version: 2, time: TIME, actor: 'user-1', event }));
  const writes = applied.flatMap((each) => changesOf([projection], [each]).flatMap((changes) => changes.writes()));
  const lines = writes.map(({ kind, rows }) => JSON.stringify([kind, rows.map(sorted)]));
  return hash('sha256', lines.toSorted().join('\n'));
}

/** Columns of a row come in any order. */
const sorted = (row: object) => Object.entries(row).toSorted(([one], [other]) => (one < other ? -1 : 1));

const recorded = golden.schemas
  .filter(({ subject }) => subject !== 'openmusic.PositionVoided')
  .map(({ subject, value }) => decodeEvent(subject, Buffer.from(value, 'hex')));

const jobId = 'job-1';
const request = {
  jobType: 'email',
  ownerId: 'user-1',
  parameters: '{}',
  payloadId: 'job-1.1',
  provider: 'smtp',
  total: 3,
  attempts: 5,
  backoff: { strategy: 'fixed', firstMs: 10, maxMs: 20 },
  priority: 1,
  parentId: null,
  replaces: 'job-0',
};
const repeat = {
  cron: '0 9 * * 1',
  timeZone: 'Asia/Jakarta',
  first: '2030-01-07T02:00:00.000Z',
  missed: 'skip',
  until: null,
  count: null,
};
const [entry, moved] = [
  { entryId: 'entry-1', songId: 'song-1', title: 'STRASSE', orderKey: 'a1' },
  { entryId: 'entry-2', orderKey: 'a2' },
];

/** Cases that an `apply` tells apart and the recorded events do not show. */
const variants: readonly AnyEvent[] = [
  {
    type: 'SongCreated',
    songId: 'song-1',
    title: 'ÅNGSTRÖM İß',
    year: 1999,
    genre: 'Folk',
    performer: 'É\u0301',
    duration: null,
    albumId: null,
  },
  { type: 'SongsAddedToPlaylist', playlistId: 'playlist-1', entries: [entry, entry], rekeyed: [moved] },
  {
    type: 'SongsMovedInPlaylist',
    playlistId: 'playlist-1',
    entries: [{ ...moved, songId: 'song-1' }],
    rekeyed: [entry],
  },
  { type: 'JobRequested', jobId, request: { ...request, runAt: null, repeat: null } },
  { type: 'JobRequested', jobId, request: { ...request, runAt: repeat.first, repeat: null } },
  { type: 'JobRequested', jobId, request: { ...request, runAt: null, repeat } },
  { type: 'JobAttemptStarted', jobId, attempt: 1, counted: 0, takesOver: false, worker: 'w' },
  { type: 'JobCompleted', jobId, attempt: 1, done: 3, total: 3, failed: 0, file: null, result: '{}' },
  { type: 'JobCancelled', jobId, attempt: 2 },
  { type: 'JobOccurred', jobId, occurrenceId: null, number: 2, at: repeat.first, passedOver: 1, next: null },
  { type: 'JobRepeatChanged', jobId, repeat },
];

const samples: readonly AnyEvent[] = [...variants, ...recorded];

/** The tables that are not as the lock has them; empty when nothing changed. */
function changedTables(lock: ReadVersionLock, current: ReadVersionLock): string[] {
  const names = new Set([lock, current].flatMap(({ ddl, rows }) => [...Object.keys(ddl), ...Object.keys(rows)]));
  return [...names].filter((name) => lock.ddl[name] !== current.ddl[name] || lock.rows[name] !== current.rows[name]);
}

/** What a developer must do before the lock agrees with the code; undefined when it does. */
export function nextStep(lock: ReadVersionLock | undefined, current: ReadVersionLock): string | undefined {
  if (lock?.readVersion !== current.readVersion) return 'Run `npm run read-version` and commit the lock.';
  const changed = changedTables(lock, current);
  if (changed.length === 0) return undefined;
  return `The DDL or the rows of ${changed.join(', ')} changed, and databases keep the tables of read version ${lock.readVersion}. Set READ_VERSION in src/projections/projections.ts to ${lock.readVersion + 1}, then run \`npm run read-version\` and commit the lock.`;
}
