import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { decodeEvent } from '../../src/events/codec.ts';
import type { AnyEvent } from '../../src/events/events.ts';
import { streamEvents } from '../../src/event-store/stream-index.ts';
import { changesOf } from '../../src/projections/engine/postgres-store.ts';
import type { Projection } from '../../src/projections/engine/table.ts';
import { checkpointDdl } from '../../src/projections/engine/statement.ts';
import { projections, READ_VERSION } from '../../src/projections/projections.ts';
import { golden } from '../support/golden.ts';
import { listIn, sourceOf } from './source.ts';

/** `read-version.lock.json`: what the tables of a read version are, and what rows the projections make. */
export interface ReadVersionLock {
  readonly readVersion: number;
  /** sha256 by table; `engine` is what a generation holds besides. */
  readonly ddl: Hashes;
  /** sha256 by table of the rows that the sample events make. */
  readonly rows: Hashes;
  /** sha256 by table of the code that makes its rows, because the sample events do not reach all of it. */
  readonly source: Hashes;
}

type Hashes = Readonly<Record<string, string>>;

export const LOCK_FILE = new URL('../../src/projections/read-version.lock.json', import.meta.url);

export const readLock = (): ReadVersionLock | undefined =>
  existsSync(LOCK_FILE) ? (JSON.parse(readFileSync(LOCK_FILE, 'utf8')) as ReadVersionLock) : undefined;

export const currentLock = (): ReadVersionLock => lockOf(READ_VERSION, projections, sources());

const PROJECTIONS = fileURLToPath(new URL('../../src/projections/projections.ts', import.meta.url));

function sources(): Hashes {
  const names = listIn(PROJECTIONS, 'projections');
  const modules: Parameters<typeof sourceOf>[2] = new Map();
  const hashes = projections.map(({ table }, index) => [
    table.name,
    hash('sha256', sourceOf(PROJECTIONS, names[index] ?? '', modules)),
  ]);
  return Object.fromEntries(hashes) as Hashes;
}

export const lockOf = (readVersion: number, all: readonly Projection[], source: Hashes = {}): ReadVersionLock => ({
  readVersion,
  ddl: {
    engine: hashOfDdl(checkpointDdl + streamEvents.ddl),
    ...Object.fromEntries(all.map(({ table, ddl }) => [table.name, hashOfDdl(ddl)])),
  },
  rows: Object.fromEntries(all.map((projection) => [projection.table.name, hashOfRows(projection)])),
  source,
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

/** The tables whose hashes differ; empty when nothing changed. */
function changedTables(one: Hashes, other: Hashes): string[] {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].filter((name) => one[name] !== other[name]);
}

/** Says that changed code makes the same rows of every event, so that the read version stays. */
export const SAME_ROWS = '--same-rows';

/**
 * What a developer must do before the lock agrees with the code; undefined when it does. `sameRows`: code that changed makes the same
 * rows.
 */
export function nextStep(
  lock: ReadVersionLock | undefined,
  current: ReadVersionLock,
  sameRows = false,
): string | undefined {
  if (lock?.readVersion !== current.readVersion) return 'Run `npm run read-version` and commit the lock.';
  const raise = `et READ_VERSION in src/projections/projections.ts to ${lock.readVersion + 1}`;
  const changed = new Set([...changedTables(lock.ddl, current.ddl), ...changedTables(lock.rows, current.rows)]);
  if (changed.size > 0)
    return `The DDL or the rows of ${[...changed].join(', ')} changed, and databases keep the tables of read version ${lock.readVersion}. S${raise}, then run \`npm run read-version\` and commit the lock.`;
  const rewritten = changedTables(lock.source, current.source);
  if (rewritten.length === 0 || sameRows) return undefined;
  return `The code that makes the rows of ${rewritten.join(', ')} changed. If any event makes other rows now, s${raise} and run \`npm run read-version\`. If every event makes the same rows as before, run \`npm run read-version -- ${SAME_ROWS}\`. Commit the lock.`;
}
