import type { JobFile, JobRequest, Repeat } from '../events/jobs.ts';
import type { Database } from '../postgres/pool.ts';
import { type JobAttempt, showAttempt, type StoredAttempt } from './job-attempts.ts';
import type { Applied, Projection, Rows } from './engine/projection.ts';

export const JOB_STATES = [
  'scheduled',
  'queued',
  'running',
  'succeeded',
  'failed-retrying',
  'dead',
  'cancelled',
] as const;
export type JobState = (typeof JOB_STATES)[number];

/** Of a job that has ended. */
const END_STATES: readonly JobState[] = ['succeeded', 'dead', 'cancelled'];

export const isOver = (state: JobState): boolean => END_STATES.includes(state);

/** They in SQL. */
export const OVER = `(${END_STATES.map((state) => `'${state}'`).join(', ')})`;

function apply({ stream, version, time, event }: Applied, rows: Rows): void {
  const patch = (columns: Parameters<Rows['patch']>[1]) => rows.patch(stream, { version, ...columns });
  switch (event.type) {
    case 'JobRequested':
      rows.put({ ...rowOf(event.request), id: stream, version, created_at: time });
      break;
    case 'JobRetried':
      patch({ ...AGAIN, ...NO_FILE, run_at: null, state: 'queued' });
      break;
    case 'JobAttemptStarted':
      patch({ state: 'running' });
      break;
    case 'JobAttemptFailed':
      patch({ state: 'failed-retrying' });
      break;
    case 'JobProgressed':
      patch({ done: event.done, total: event.total, failed: event.failed });
      break;
    case 'JobCompleted': {
      const { done, total, failed, result, file } = event;
      const made = file ? fileColumns(file) : NO_FILE;
      patch({ state: 'succeeded', finished_at: time, done, total, failed, result, ...made });
      break;
    }
    case 'JobDied':
      patch({ state: 'dead', finished_at: time });
      break;
    case 'JobCancelled':
      patch({ state: 'cancelled', finished_at: time });
      break;
    case 'JobOccurred':
      if (event.next === null) patch({ state: 'succeeded', finished_at: time });
      else patch({ run_at: event.next });
      break;
    case 'JobRepeatChanged':
      patch(repeatColumns(event.repeat));
      break;
    case 'DeadLetterDropped':
      patch({ dropped: true });
      break;
    default:
  }
}

const NO_FILE = {
  file_id: null,
  file_stored: null,
  file_name: null,
  file_kind: null,
  file_media_type: null,
  file_size: null,
} as const;

const fileColumns = ({ fileId, stored, name, kind, mediaType, size }: JobFile) => ({
  file_id: fileId,
  file_stored: stored,
  file_name: name,
  file_kind: kind,
  file_media_type: mediaType,
  file_size: size,
});

const ONCE = {
  repeat_cron: null,
  repeat_zone: null,
  repeat_missed: null,
  repeat_until: null,
  repeat_count: null,
} as const;

const repeatColumns = ({ first, cron, timeZone, missed, until, count }: Repeat) => ({
  run_at: first,
  repeat_cron: cron,
  repeat_zone: timeZone,
  repeat_missed: missed,
  repeat_until: until,
  repeat_count: count,
});

/** What a job has that is about to be done, for the first time or again. */
const AGAIN = { finished_at: null, dropped: false, result: null, done: 0, failed: 0 } as const;

function rowOf(request: JobRequest) {
  const { jobType, ownerId, payloadId, parentId, replaces, runAt, repeat, total } = request;
  return {
    ...AGAIN,
    owner_id: ownerId,
    type: jobType,
    state: runAt || repeat ? 'scheduled' : 'queued',
    total,
    run_at: runAt,
    ...(repeat ? repeatColumns(repeat) : ONCE),
    payload_id: payloadId,
    parent_id: parentId,
    replaces,
    ...NO_FILE,
  };
}

/** Jobs, each with the one file that it may have made. */
export const jobs: Projection = {
  table: {
    name: 'jobs',
    columns: {
      id: 'text',
      version: 'integer',
      owner_id: 'text',
      type: 'text',
      state: 'text',
      done: 'integer',
      total: 'integer',
      failed: 'integer',
      created_at: 'timestamptz',
      run_at: 'timestamptz',
      finished_at: 'timestamptz',
      repeat_cron: 'text',
      repeat_zone: 'text',
      repeat_missed: 'text',
      repeat_until: 'timestamptz',
      repeat_count: 'integer',
      payload_id: 'text',
      parent_id: 'text',
      replaces: 'text',
      dropped: 'boolean',
      result: 'text',
      file_id: 'text',
      file_stored: 'text',
      file_name: 'text',
      file_kind: 'text',
      file_media_type: 'text',
      file_size: 'bigint',
    },
  },
  ddl: `CREATE TABLE jobs (
    id text COLLATE "C" PRIMARY KEY,
    version integer NOT NULL,
    owner_id text COLLATE "C" NOT NULL,
    type text NOT NULL,
    state text NOT NULL,
    done integer NOT NULL,
    total integer NOT NULL,
    failed integer NOT NULL,
    created_at timestamptz NOT NULL,
    run_at timestamptz,
    finished_at timestamptz,
    repeat_cron text,
    repeat_zone text,
    repeat_missed text,
    repeat_until timestamptz,
    repeat_count integer,
    payload_id text COLLATE "C",
    parent_id text COLLATE "C",
    replaces text COLLATE "C",
    dropped boolean NOT NULL,
    result text,
    file_id text COLLATE "C",
    file_stored text,
    file_name text,
    file_kind text,
    file_media_type text,
    file_size bigint
  ) WITH (fillfactor = 70);
  CREATE INDEX ON jobs (owner_id, created_at DESC, id DESC);
  CREATE INDEX jobs_unfinished ON jobs (owner_id) WHERE state NOT IN ${OVER};
  CREATE INDEX jobs_dead ON jobs (finished_at DESC, id DESC) WHERE state = 'dead' AND NOT dropped;
  CREATE UNIQUE INDEX ON jobs (file_id) WHERE file_id IS NOT NULL;
  CREATE INDEX jobs_payloads ON jobs (payload_id) WHERE payload_id IS NOT NULL;
  CREATE INDEX jobs_files ON jobs (owner_id, finished_at DESC, id DESC) WHERE file_id IS NOT NULL`,
  apply,
};

export interface RepeatView {
  readonly cron: string;
  readonly timeZone: string;
  readonly missed: string;
  /** ISO 8601: no time after it is due. */
  readonly until?: string;
  /** Occurrences after which it ends. */
  readonly count?: number;
}

export interface JobView {
  readonly id: string;
  readonly type: string;
  readonly state: JobState;
  readonly progress: { readonly done: number; readonly total: number; readonly failed: number };
  readonly attempts: JobAttempt[];
  /** ISO 8601, as all times. */
  readonly createdAt: string;
  readonly deliverAt?: string;
  readonly finishedAt?: string;
  readonly repeat?: RepeatView;
  readonly parentId?: string;
  readonly replaces?: string;
  readonly result?: Record<string, unknown>;
}

interface JobRow {
  readonly id: string;
  readonly version: number;
  readonly owner_id: string;
  readonly payload_id: string | null;
  readonly dropped: boolean;
  readonly type: string;
  readonly state: JobState;
  readonly done: number;
  readonly total: number;
  readonly failed: number;
  readonly created_at: Date;
  readonly run_at: Date | null;
  readonly finished_at: Date | null;
  readonly repeat_cron: string | null;
  readonly repeat_zone: string | null;
  readonly repeat_missed: string | null;
  readonly repeat_until: Date | null;
  readonly repeat_count: number | null;
  readonly parent_id: string | null;
  readonly replaces: string | null;
  readonly result: string | null;
  readonly file_id: string | null;
  readonly file_name: string | null;
  readonly file_size: number | null;
  readonly attempts: readonly StoredAttempt[];
}

const SELECT = `SELECT j.*, (
    SELECT coalesce(json_agg(a ORDER BY a.attempt), '[]') FROM job_attempts a WHERE a.job_id = j.id) AS attempts
  FROM jobs j`;

export interface FoundJob {
  readonly version: number;
  readonly ownerId: string;
  /** What is kept of it in Postgres, if anything is. */
  readonly payloadId: string | null;
  /** Nobody wants to hear of it as a dead letter. */
  readonly dropped: boolean;
  readonly job: JobView;
}

/** Undefined when there is no such job. */
export async function findJob(database: Database, id: string): Promise<FoundJob | undefined> {
  const query = { name: 'find-job', text: `${SELECT} WHERE j.id = $1`, values: [id] };
  const [row] = await database.query<JobRow & Record<string, unknown>>(query);
  if (!row) return undefined;
  const { version, owner_id: ownerId, payload_id: payloadId, dropped } = row;
  return { version, ownerId, payloadId, dropped, job: viewOf(row) };
}

function viewOf(row: JobRow): JobView {
  const { id, type, state, done, total, failed, run_at, finished_at } = row;
  return {
    id,
    type,
    state,
    progress: { done, total, failed },
    attempts: row.attempts.map(showAttempt),
    createdAt: row.created_at.toISOString(),
    ...(run_at && { deliverAt: run_at.toISOString() }),
    ...(finished_at && { finishedAt: finished_at.toISOString() }),
    ...(row.repeat_cron !== null && { repeat: repeatOf(row, row.repeat_cron) }),
    ...(row.parent_id !== null && { parentId: row.parent_id }),
    ...(row.replaces !== null && { replaces: row.replaces }),
    ...(state === 'succeeded' && { result: resultOf(row) }),
  };
}

const repeatOf = ({ repeat_zone, repeat_missed, repeat_until, repeat_count }: JobRow, cron: string): RepeatView => ({
  cron,
  timeZone: repeat_zone ?? '',
  missed: repeat_missed ?? '',
  ...(repeat_until && { until: repeat_until.toISOString() }),
  ...(repeat_count !== null && { count: repeat_count }),
});

function resultOf({ result, file_id: fileId, file_name: name, file_size: size }: JobRow): Record<string, unknown> {
  const made = fileId === null ? {} : { fileId, name, size };
  return { ...made, ...(JSON.parse(result ?? '{}') as object) };
}

export interface JobSearch {
  readonly owner: string;
  readonly state?: JobState;
  readonly type?: string;
  readonly limit: number;
  /** The last job of the page before. */
  readonly after?: { readonly createdAt: string; readonly id: string };
}

/** Jobs of an account, the newest first. */
export async function jobsOf(
  database: Pick<Database, 'query'>,
  { owner, state, type, limit, after }: JobSearch,
): Promise<JobView[]> {
  const rows = await database.query<JobRow & Record<string, unknown>>({
    name: 'jobs-of',
    text: `${SELECT} WHERE j.owner_id = $1 AND ($2::text IS NULL OR j.state = $2) AND ($3::text IS NULL OR j.type = $3)
        AND ($4::timestamptz IS NULL OR (j.created_at, j.id) < ($4, $5))
      ORDER BY j.created_at DESC, j.id DESC LIMIT $6`,
    values: [owner, state ?? null, type ?? null, after?.createdAt ?? null, after?.id ?? null, limit],
  });
  return rows.map(viewOf);
}

/** How many jobs an account has, counted no further than the limit. */
export interface JobLoad {
  /** That have not ended. */
  readonly unfinished: number;
  /** That were begun in the last `seconds`. */
  readonly started: number;
}

/** A JobLoad of each account of `$1`; `$2` to `$4`: the limits, and the seconds. */
export const JOB_LOADS = `SELECT o.id AS account, u.unfinished, s.started FROM unnest($1::text[]) AS o (id)
  CROSS JOIN LATERAL (SELECT count(*) AS unfinished FROM
    (SELECT FROM jobs WHERE owner_id = o.id AND state NOT IN ${OVER} LIMIT $2) j) u
  CROSS JOIN LATERAL (SELECT count(*) AS started FROM
    (SELECT FROM jobs WHERE owner_id = o.id AND created_at > now() - $4 * interval '1 s' LIMIT $3) j) s`;

/** How many repeating jobs have not ended, of the account that `account` is in SQL. */
export const REPEATING_OF = (account: string) =>
  `SELECT count(*) FROM jobs WHERE owner_id = ${account} AND state NOT IN ${OVER} AND repeat_cron IS NOT NULL`;

/** The time that a job was asked for; undefined when there is no such job. */
export async function jobTimeOf(database: Database, id: string): Promise<Date | undefined> {
  const text = 'SELECT coalesce(run_at, created_at) AS time FROM jobs WHERE id = $1';
  return (await database.query<{ time: Date }>({ name: 'job-time-of', text, values: [id] }))[0]?.time;
}

/** Jobs that were given up, and whom nobody has dropped, the newest first. */
export async function deadJobs(
  database: Pick<Database, 'query'>,
  limit: number,
  after?: JobSearch['after'],
): Promise<JobView[]> {
  const rows = await database.query<JobRow & Record<string, unknown>>({
    name: 'dead-jobs',
    text: `${SELECT} WHERE j.state = 'dead' AND NOT j.dropped AND ($2::timestamptz IS NULL OR (j.finished_at, j.id) < ($2, $3))
      ORDER BY j.finished_at DESC, j.id DESC LIMIT $1`,
    values: [limit, after?.createdAt ?? null, after?.id ?? null],
  });
  return rows.map(viewOf);
}
