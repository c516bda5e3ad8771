import type { JobEvent, JobRequest, Repeat } from '../events/jobs.ts';
import { column, ignored, nullable, type Projection, table } from '../projections/engine/table.ts';

/** Which jobs a consumer group works on: a pure function of their requests. */
export interface QueueScope {
  /** Name of the consumer group, without the namespace. */
  readonly group: string;
  holds(request: Pick<JobRequest, 'jobType' | 'repeat'>): boolean;
}

/** Jobs of one lane need the same providers: those of one type, and of one provider of mail. */
export const laneOf = (jobType: string, provider: string | null | undefined): string =>
  provider ? `${jobType}:${provider}` : jobType;

function rowOf(stream: string, time: string, request: JobRequest) {
  const { jobType, ownerId, parameters, payloadId, provider, total, attempts, backoff, priority, runAt, repeat } =
    request;
  return {
    job_id: stream,
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

const queueTable = table(
  'job_queue',
  {
    job_id: column.key,
    version: column.streamVersion,
    lane: column.id,
    job_type: column.text,
    owner_id: column.id,
    parameters: column.text,
    payload_id: nullable(column.id),
    provider: nullable(column.text),
    total: column.integer,
    max_attempts: column.integer,
    priority: column.integer,
    backoff: column.text,
    backoff_first_ms: column.bigint,
    backoff_max_ms: column.bigint,
    run_at: column.timestamptz,
    repeat_cron: nullable(column.text),
    repeat_zone: nullable(column.text),
    repeat_missed: nullable(column.text),
    repeat_until: nullable(column.timestamptz),
    repeat_count: nullable(column.integer),
    occurred: column.integer,
    state: column.text,
    /** A job without a start time is due at once; leases.ts makes the others due when their time has come. */
    due: column.boolean,
    attempt: column.integer,
    counted: column.integer,
    /** Items that failed up to this attempt run again; 0: none. */
    redo_through: column.integer,
  },
  {
    storage: 'fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000',
    indexes: [
      "CREATE INDEX job_queue_due ON job_queue (lane, owner_id, priority DESC, run_at, job_id) WHERE state = 'waiting' AND due",
      "CREATE INDEX job_queue_later ON job_queue (run_at, job_id) WHERE state = 'waiting' AND NOT due",
      "CREATE INDEX job_queue_running ON job_queue (job_id) WHERE state = 'running'",
    ],
  },
);

/** The jobs of a consumer group that have not ended. */
export const queueOf = ({ holds }: QueueScope): Projection =>
  queueTable.projection<JobEvent>({
    JobRequested({ request }, rows, { stream, time }) {
      if (holds(request)) rows.put(rowOf(stream, time, request));
    },
    JobRetried({ request, attempt }, rows, { stream, time }) {
      if (holds(request)) rows.put({ ...rowOf(stream, time, request), attempt, redo_through: attempt });
    },
    JobAttemptStarted: ({ attempt, counted }, rows, { stream }) =>
      rows.patch(stream, { state: 'running', attempt, counted }),
    JobAttemptFailed: ({ retryAt, counted }, rows, { stream }) =>
      rows.patch(stream, { state: 'waiting', due: false, run_at: retryAt, counted }),
    JobOccurred({ next, number }, rows, { stream }) {
      if (next === null) rows.remove(stream);
      else rows.patch(stream, { due: false, run_at: next, occurred: number });
    },
    JobRepeatChanged: ({ repeat }, rows, { stream }) => rows.patch(stream, { due: false, ...repeatColumns(repeat) }),
    JobCompleted: (_, rows, { stream }) => rows.remove(stream),
    JobDied: (_, rows, { stream }) => rows.remove(stream),
    JobCancelled: (_, rows, { stream }) => rows.remove(stream),
    JobProgressed: ignored,
    DeadLetterDropped: ignored,
  });
