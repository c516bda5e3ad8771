import type { JobEvent } from '../events/jobs.ts';
import { column, ignored, nullable, type RowOf, table } from './engine/table.ts';

export interface JobAttempt {
  /** ISO 8601. */
  readonly startedAt: string;
  /** Null while it runs. */
  readonly finishedAt: string | null;
  /** Why it failed. */
  readonly error?: { readonly code: string; readonly message: string };
}

const LOST = { code: 'WORKER_LOST', error: 'Nothing more was heard of the worker.' };
const NO_ERROR = { code: null, error: null };
const CANCELLED = { code: 'CANCELLED', error: 'The job was called off.' };

/** What became of each attempt at a job. */
const attemptTable = table(
  'job_attempts',
  {
    id: column.key,
    job_id: column.id,
    attempt: column.integer,
    started_at: column.timestamptz,
    finished_at: nullable(column.timestamptz),
    code: nullable(column.text),
    error: nullable(column.text),
  },
  { storage: 'fillfactor = 70', indexes: ['(job_id, attempt)'] },
);

export const jobAttempts = attemptTable.projection<JobEvent>({
  JobAttemptStarted({ attempt, takesOver }, rows, { stream, time }) {
    if (takesOver) rows.patch(keyOf(stream, attempt - 1), { finished_at: time, ...LOST });
    rows.put({ id: keyOf(stream, attempt), job_id: stream, attempt, started_at: time, finished_at: null, ...NO_ERROR });
  },
  JobAttemptFailed: ({ attempt, code, error }, rows, { stream, time }) =>
    rows.patch(keyOf(stream, attempt), { finished_at: time, code, error }),
  JobDied: ({ attempt, code, error }, rows, { stream, time }) =>
    rows.patch(keyOf(stream, attempt), { finished_at: time, code, error }),
  JobCompleted: ({ attempt }, rows, { stream, time }) =>
    rows.patch(keyOf(stream, attempt), { finished_at: time, ...NO_ERROR }),
  JobCancelled({ attempt }, rows, { stream, time }) {
    if (attempt > 0) rows.patch(keyOf(stream, attempt), { finished_at: time, ...CANCELLED });
  },
  JobRequested: ignored,
  JobProgressed: ignored,
  JobRetried: ignored,
  JobOccurred: ignored,
  JobRepeatChanged: ignored,
  DeadLetterDropped: ignored,
});

const keyOf = (job: string, attempt: number) => `${job}/${attempt}`;

/** A row as Postgres writes it in JSON. */
export type StoredAttempt = RowOf<typeof attemptTable, 'code' | 'error'> & {
  readonly started_at: string;
  readonly finished_at: string | null;
};

export const showAttempt = ({ started_at, finished_at, code, error }: StoredAttempt): JobAttempt => ({
  startedAt: new Date(started_at).toISOString(),
  finishedAt: finished_at === null ? null : new Date(finished_at).toISOString(),
  ...(code !== null && { error: { code, message: error ?? '' } }),
});
