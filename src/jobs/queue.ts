import type { JobRequest, Repeat } from '../events/jobs.ts';
import type { Applied, Projection, Rows } from '../projections/engine/projection.ts';

/** Which jobs a consumer group works on: a pure function of their requests. */
export interface QueueScope {
  /** Name of the consumer group, without the namespace. */
  readonly group: string;
  holds(request: Pick<JobRequest, 'jobType' | 'repeat'>): boolean;
}

/** Jobs of one lane need the same providers: those of one type, and of one provider of mail. */
export const laneOf = (jobType: string, provider: string | null | undefined): string =>
  provider ? `${jobType}:${provider}` : jobType;

function rowOf(stream: string, version: number, time: string, request: JobRequest) {
  const { jobType, ownerId, parameters, payloadId, provider, total, attempts, backoff, priority, runAt, repeat } =
    request;
  return {
    job_id: stream,
    version,
    lane: laneOf(jobType, provider),
    job_type: jobType,
    owner_id: ownerId,
    parameters,
    payload_id: payloadId,
    provider,
    total,
    max_attempts: attempts,
    priority,
    backoff: backoff.strategy,
    backoff_first_ms: backoff.firstMs,
    backoff_max_ms: backoff.maxMs,
    run_at: runAt ?? time,
    ...(repeat ? repeatColumns(repeat) : ONCE),
    occurred: 0,
    state: 'waiting',
    due: !runAt && !repeat,
    attempt: 0,
    counted: 0,
    redo_through: 0,
  };
}

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

const COLUMNS = {
  job_id: 'text',
  version: 'integer',
  lane: 'text',
  job_type: 'text',
  owner_id: 'text',
  parameters: 'text',
  payload_id: 'text',
  provider: 'text',
  total: 'integer',
  max_attempts: 'integer',
  priority: 'integer',
  backoff: 'text',
  backoff_first_ms: 'bigint',
  backoff_max_ms: 'bigint',
  run_at: 'timestamptz',
  repeat_cron: 'text',
  repeat_zone: 'text',
  repeat_missed: 'text',
  repeat_until: 'timestamptz',
  repeat_count: 'integer',
  occurred: 'integer',
  state: 'text',
  due: 'boolean',
  attempt: 'integer',
  counted: 'integer',
  redo_through: 'integer',
} as const;

const DDL = `CREATE TABLE job_queue (
    job_id text COLLATE "C" PRIMARY KEY,
    version integer NOT NULL,
    lane text COLLATE "C" NOT NULL,
    job_type text NOT NULL,
    owner_id text COLLATE "C" NOT NULL,
    parameters text NOT NULL,
    payload_id text COLLATE "C",
    provider text,
    total integer NOT NULL,
    max_attempts integer NOT NULL,
    priority integer NOT NULL,
    backoff text NOT NULL,
    backoff_first_ms bigint NOT NULL,
    backoff_max_ms bigint NOT NULL,
    run_at timestamptz NOT NULL,
    repeat_cron text,
    repeat_zone text,
    repeat_missed text,
    repeat_until timestamptz,
    repeat_count integer,
    occurred integer NOT NULL,
    state text NOT NULL,
    -- What has no time to wait for is due at once; what has is made due when that has come (leases.ts).
    due boolean NOT NULL,
    attempt integer NOT NULL,
    counted integer NOT NULL,
    -- Items that failed up to this attempt are done again; 0: none.
    redo_through integer NOT NULL
  ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
  CREATE INDEX job_queue_due ON job_queue (lane, owner_id, priority DESC, run_at, job_id) WHERE state = 'waiting' AND due;
  CREATE INDEX job_queue_later ON job_queue (run_at, job_id) WHERE state = 'waiting' AND NOT due;
  CREATE INDEX job_queue_running ON job_queue (job_id) WHERE state = 'running'`;

/** The jobs of a consumer group that have not ended. */
export const queueOf = ({ holds }: QueueScope): Projection => ({
  table: { name: 'job_queue', columns: COLUMNS },
  ddl: DDL,
  apply({ stream, version, time, event }: Applied, rows: Rows): void {
    switch (event.type) {
      case 'JobRequested':
        if (holds(event.request)) rows.put(rowOf(stream, version, time, event.request));
        break;
      case 'JobRetried':
        if (!holds(event.request)) break;
        rows.put({
          ...rowOf(stream, version, time, event.request),
          attempt: event.attempt,
          redo_through: event.attempt,
        });
        break;
      case 'JobAttemptStarted':
        rows.patch(stream, { version, state: 'running', attempt: event.attempt, counted: event.counted });
        break;
      case 'JobAttemptFailed':
        rows.patch(stream, { version, state: 'waiting', due: false, run_at: event.retryAt, counted: event.counted });
        break;
      case 'JobProgressed':
        rows.patch(stream, { version });
        break;
      case 'JobOccurred':
        if (event.next === null) rows.remove(stream);
        else rows.patch(stream, { version, due: false, run_at: event.next, occurred: event.number });
        break;
      case 'JobRepeatChanged':
        rows.patch(stream, { version, due: false, ...repeatColumns(event.repeat) });
        break;
      case 'JobCompleted':
      case 'JobDied':
      case 'JobCancelled':
        rows.remove(stream);
        break;
      default:
    }
  },
});
