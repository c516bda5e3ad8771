import type { Applied, Projection, Rows } from './engine/projection.ts';

export interface JobAttempt {
  /** ISO 8601. */
  readonly startedAt: string;
  /** Null while it runs. */
  readonly finishedAt: string | null;
  /** Why it did not do it. */
  readonly error?: { readonly code: string; readonly message: string };
}

const LOST = { code: 'WORKER_LOST', error: 'Nothing more was heard of the worker.' };
const CANCELLED = { code: 'CANCELLED', error: 'The job was called off.' };

function apply({ stream, time, event }: Applied, rows: Rows): void {
  const keyOf = (attempt: number) => `${stream}/${attempt}`;
  const end = (attempt: number, why: { code: string | null; error: string | null }) =>
    rows.patch(keyOf(attempt), { finished_at: time, code: why.code, error: why.error });
  switch (event.type) {
    case 'JobAttemptStarted': {
      const { attempt, takesOver } = event;
      if (takesOver) end(attempt - 1, LOST);
      const unfinished = { finished_at: null, code: null, error: null };
      rows.put({ id: keyOf(attempt), job_id: stream, attempt, started_at: time, ...unfinished });
      break;
    }
    case 'JobAttemptFailed':
    case 'JobDied':
      end(event.attempt, event);
      break;
    case 'JobCompleted':
      end(event.attempt, { code: null, error: null });
      break;
    case 'JobCancelled':
      if (event.attempt > 0) end(event.attempt, CANCELLED);
      break;
    default:
  }
}

/** What became of each attempt at a job. */
export const jobAttempts: Projection = {
  table: {
    name: 'job_attempts',
    columns: {
      id: 'text',
      job_id: 'text',
      attempt: 'integer',
      started_at: 'timestamptz',
      finished_at: 'timestamptz',
      code: 'text',
      error: 'text',
    },
  },
  ddl: `CREATE TABLE job_attempts (
    id text COLLATE "C" PRIMARY KEY,
    job_id text COLLATE "C" NOT NULL,
    attempt integer NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    code text,
    error text
  ) WITH (fillfactor = 70);
  CREATE INDEX ON job_attempts (job_id, attempt)`,
  apply,
};

/** As JSON of Postgres has it. */
export interface StoredAttempt {
  readonly started_at: string;
  readonly finished_at: string | null;
  readonly code: string | null;
  readonly error: string | null;
}

export const showAttempt = ({ started_at, finished_at, code, error }: StoredAttempt): JobAttempt => ({
  startedAt: new Date(started_at).toISOString(),
  finishedAt: finished_at === null ? null : new Date(finished_at).toISOString(),
  ...(code !== null && { error: { code, message: error ?? '' } }),
});
