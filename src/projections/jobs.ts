import type { JobEvent, JobFile, JobRequest, Repeat } from '../events/jobs.ts';
import type { Database } from '../postgres/pool.ts';
import { type JobAttempt, showAttempt, type StoredAttempt } from './job-attempts.ts';
import { column, nullable, type RowOf, table } from './engine/table.ts';

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

/** States of a job that has ended. */
const END_STATES: readonly JobState[] = ['succeeded', 'dead', 'cancelled'];

export const isOver = (state: JobState): boolean => END_STATES.includes(state);

/** The end states as a list in SQL. */
export const OVER = `(${END_STATES.map((state) => `'${state}'`).join(', ')})`;

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

/** The columns of a job that is about to run, for the first time or again. */
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

export const jobTable = table(
  'jobs',
  {
    id: column.key,
    version: column.streamVersion,
    owner_id: column.id,
    type: column.text,
    state: column.text,
    done: column.integer,
    total: column.integer,
    failed: column.integer,
    created_at: column.timestamptz,
    run_at: nullable(column.timestamptz),
    finished_at: nullable(column.timestamptz),
    repeat_cron: nullable(column.text),
    repeat_zone: nullable(column.text),
    repeat_missed: nullable(column.text),
    repeat_until: nullable(column.timestamptz),
    repeat_count: nullable(column.integer),
    payload_id: nullable(column.id),
    parent_id: nullable(column.id),
    replaces: nullable(column.id),
    dropped: column.boolean,
    result: nullable(column.text),
    file_id: nullable(column.id),
    file_stored: nullable(column.text),
    file_name: nullable(column.text),
    file_kind: nullable(column.text),
    file_media_type: nullable(column.text),
    file_size: nullable(column.bigint),
  },
  {
    storage: 'fillfactor = 70',
    indexes: [
      '(owner_id, created_at DESC, id DESC)',
      `CREATE INDEX jobs_unfinished ON jobs (owner_id) WHERE state NOT IN ${OVER}`,
      `CREATE INDEX jobs_dead ON jobs (finished_at DESC, id DESC) WHERE state = 'dead' AND NOT dropped`,
      'CREATE UNIQUE INDEX ON jobs (file_id) WHERE file_id IS NOT NULL',
      'CREATE INDEX jobs_payloads ON jobs (payload_id) WHERE payload_id IS NOT NULL',
      'CREATE INDEX jobs_files ON jobs (owner_id, finished_at DESC, id DESC) WHERE file_id IS NOT NULL',
    ],
  },
);

/** Jobs, each with the one file that it may have made. */
export const jobs = jobTable.projection<JobEvent>({
  JobRequested: ({ request }, rows, { stream, time }) => rows.put({ ...rowOf(request), id: stream, created_at: time }),
  JobRetried: (_, rows, { stream }) => rows.patch(stream, { ...AGAIN, ...NO_FILE, run_at: null, state: 'queued' }),
  JobAttemptStarted: (_, rows, { stream }) => rows.patch(stream, { state: 'running' }),
  JobAttemptFailed: (_, rows, { stream }) => rows.patch(stream, { state: 'failed-retrying' }),
  JobProgressed: ({ done, total, failed }, rows, { stream }) => rows.patch(stream, { done, total, failed }),
  JobCompleted({ done, total, failed, result, file }, rows, { stream, time }) {
    const made = file ? fileColumns(file) : NO_FILE;
    rows.patch(stream, { state: 'succeeded', finished_at: time, done, total, failed, result, ...made });
  },
  JobDied: (_, rows, { stream, time }) => rows.patch(stream, { state: 'dead', finished_at: time }),
  JobCancelled: (_, rows, { stream, time }) => rows.patch(stream, { state: 'cancelled', finished_at: time }),
  JobOccurred: ({ next }, rows, { stream, time }) =>
    rows.patch(stream, next === null ? { state: 'succeeded', finished_at: time } : { run_at: next }),
  JobRepeatChanged: ({ repeat }, rows, { stream }) => rows.patch(stream, repeatColumns(repeat)),
  DeadLetterDropped: (_, rows, { stream }) => rows.patch(stream, { dropped: true }),
});

export interface RepeatView {
  readonly cron: string;
  readonly timeZone: string;
  readonly missed: string;
  /** ISO 8601: it does not occur after this time. */
  readonly until?: string;
  /** The number of occurrences after which it ends. */
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

/** A row of `SELECT`. `state` holds nothing but states of jobs: the projection writes no other. */
type JobRow = RowOf<typeof jobTable> & { readonly state: JobState; readonly attempts: readonly StoredAttempt[] };

const SELECT = `SELECT j.*, (
    SELECT coalesce(json_agg(a ORDER BY a.attempt), '[]') FROM job_attempts a WHERE a.job_id = j.id) AS attempts
  FROM jobs j`;

export interface FoundJob {
  readonly version: number;
  readonly ownerId: string;
  /** Names what Postgres keeps for the job; null when it keeps nothing. */
  readonly payloadId: string | null;
  /** It is no longer listed as a dead letter. */
  readonly dropped: boolean;
  readonly job: JobView;
}

/** Returns undefined when there is no such job. */
export async function findJob(database: Database, id: string): Promise<FoundJob | undefined> {
  const query = { name: 'find-job', text: `${SELECT} WHERE j.id = $1`, values: [id] };
  const [row] = await database.query<JobRow>(query);
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
  const rows = await database.query<JobRow>({
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
  /** Jobs that have not ended. */
  readonly unfinished: number;
  /** Jobs that were requested in the last `seconds`. */
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

/** Jobs that were given up and whose dead letter was not dropped, the newest first. */
export async function deadJobs(
  database: Pick<Database, 'query'>,
  limit: number,
  after?: JobSearch['after'],
): Promise<JobView[]> {
  const rows = await database.query<JobRow>({
    name: 'dead-jobs',
    text: `${SELECT} WHERE j.state = 'dead' AND NOT j.dropped AND ($2::timestamptz IS NULL OR (j.finished_at, j.id) < ($2, $3))
      ORDER BY j.finished_at DESC, j.id DESC LIMIT $1`,
    values: [limit, after?.createdAt ?? null, after?.id ?? null],
  });
  return rows.map(viewOf);
}
