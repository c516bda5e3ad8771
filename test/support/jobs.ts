import type { Backoff, JobEvent, JobRequest, Repeat } from '../../src/events/jobs.ts';
import { newId, idFromCommand } from '../../src/events/ids.ts';
import type { QueuedJob } from '../../src/jobs/leases.ts';
import { queueOf, type QueueScope } from '../../src/jobs/queue.ts';
import { type Database, openDatabase } from '../../src/postgres/pool.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { streamHeads } from '../../src/event-store/stream-index.ts';
import type { AppliedEvent } from '../../src/projections/engine/applied-event.ts';
import { checkpointDdl } from '../../src/projections/engine/statement.ts';
import { EXPORTER } from '../../src/consumers/exporter.ts';
import { SCHEDULER } from '../../src/consumers/scheduler.ts';
import { WORKER } from '../../src/consumers/worker.ts';

export const SCOPES: readonly QueueScope[] = [EXPORTER, WORKER, SCHEDULER];

export const newJobId = (): string => idFromCommand('job', newId());

export const BACKOFF: Backoff = { strategy: 'exponential', firstMs: 1_000, maxMs: 300_000 };

/** A repeat without an end. */
export const repeatOf = (cron: string, timeZone: string, first: string): Repeat => ({
  cron,
  timeZone,
  first,
  missed: 'run-once',
  until: null,
  count: null,
});

/** A job request of a particular user. */
export const requestOf = (given: Partial<JobRequest> = {}): JobRequest => ({
  jobType: 'dummy',
  ownerId: 'user-1',
  parameters: '{}',
  payloadId: null,
  provider: null,
  total: 1,
  attempts: 3,
  backoff: BACKOFF,
  priority: 0,
  runAt: null,
  repeat: null,
  parentId: null,
  replaces: null,
  ...given,
});

const jobId = 'job-1';

/** The events of `job-1`, each with the fields that a test overrides. */
export const jobEvents = {
  requested: (given: Partial<JobRequest> = {}): JobEvent => ({
    type: 'JobRequested',
    jobId,
    request: requestOf(given),
  }),
  started: (attempt: number, counted = 0, takesOver = false): JobEvent => ({
    type: 'JobAttemptStarted',
    jobId,
    attempt,
    counted,
    takesOver,
    worker: 'w',
  }),
  failed: (attempt: number, counted: number, retryAt = '2030-01-01T00:00:00.000Z'): JobEvent => ({
    type: 'JobAttemptFailed',
    jobId,
    attempt,
    counted,
    code: 'FAILED',
    error: 'it did not work',
    retryAt,
  }),
  progressed: (attempt: number, done = 1): JobEvent => ({
    type: 'JobProgressed',
    jobId,
    attempt,
    done,
    total: 4,
    failed: 0,
  }),
  completed: (attempt: number): JobEvent => ({
    type: 'JobCompleted',
    jobId,
    attempt,
    done: 3,
    total: 4,
    failed: 1,
    file: null,
    result: '{"lines":4}',
  }),
  died: (attempt: number): JobEvent => ({ type: 'JobDied', jobId, attempt, code: 'HOPELESS', error: 'never' }),
  cancelled: (attempt = 0): JobEvent => ({ type: 'JobCancelled', jobId, attempt }),
  retried: (attempt: number, failedOnly = false, given: Partial<JobRequest> = {}): JobEvent => ({
    type: 'JobRetried',
    jobId,
    request: requestOf(given),
    attempt,
    failedOnly,
  }),
  occurred: (at: string, next: string | null): JobEvent => ({
    type: 'JobOccurred',
    jobId,
    occurrenceId: 'job-child',
    number: 1,
    at,
    passedOver: 0,
    next,
  }),
  repeatChanged: (repeat: Repeat): JobEvent => ({ type: 'JobRepeatChanged', jobId, repeat }),
  dropped: (): JobEvent => ({ type: 'DeadLetterDropped', jobId }),
};

/** One event a second from the beginning of the year. */
export const timeOf = (second: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();

/** The history of one job, from its first version on. */
export const historyOf = (stream: string, ...events: readonly JobEvent[]): AppliedEvent[] =>
  events.map((event, index) => ({
    stream,
    version: index + 1,
    time: timeOf(index),
    actor: 'user-1',
    event: { ...event, jobId: stream },
  }));

/** A queue in a schema of its own, and the namespace's tables. No consumer runs. */
export interface BareQueue {
  readonly schema: string;
  readonly database: Database;
  close(): Promise<void>;
}

export async function openQueue(
  connection: PostgresConnection,
  { namespace, schema = 'queue', scope = WORKER }: { namespace: string; schema?: string; scope?: QueueScope },
): Promise<BareQueue> {
  const database = openDatabase(connection, { name: 'queue', max: 12, searchPath: [schema, namespace, 'public'] });
  await database.use(async (client) => {
    await client.query(`CREATE SCHEMA "${schema}"`);
    await client.query([checkpointDdl, streamHeads.ddl, queueOf(scope).ddl].join(';\n'));
  });
  return { schema, database, close: () => database.stop() };
}

export interface QueueRow {
  readonly job_id: string;
  readonly version?: number;
  readonly lane?: string;
  readonly job_type?: string;
  readonly payload_id?: string | null;
  readonly owner_id?: string;
  /** Milliseconds from now. */
  readonly inMs?: number;
  readonly state?: 'waiting' | 'running';
  readonly attempt?: number;
  readonly counted?: number;
  readonly priority?: number;
}

const QUEUE_ROWS = `INSERT INTO job_queue (job_id, version, lane, job_type, owner_id, parameters, payload_id, total, max_attempts,
    priority, backoff, backoff_first_ms, backoff_max_ms, run_at, occurred, state, due, attempt, counted, redo_through)
  SELECT job_id, coalesce(version, 1), coalesce(lane, 'dummy'), coalesce(job_type, 'dummy'), coalesce(owner_id, 'user-1'), '{}', payload_id, 1, 3,
    coalesce(priority, 0), 'exponential', 1000, 300000, now() + coalesce("inMs", -1000) * interval '1 ms', 0, coalesce(state, 'waiting'), coalesce("inMs", 0) <= 0,
    coalesce(attempt, 0), coalesce(counted, 0), 0
  FROM json_to_recordset($1) AS r (job_id text, owner_id text, version int, lane text, job_type text, payload_id text, "inMs" float8,
    state text, attempt int, counted int, priority int)`;

/** Rows as the projection writes them. */
export async function putInQueue(database: Database, ...rows: readonly QueueRow[]): Promise<void> {
  await database.query({ text: QUEUE_ROWS, values: [JSON.stringify(rows)] });
}

/** Items as they are stored when a job is accepted. */
export async function keepItems(tables: Database, payloadId: string, items: readonly unknown[]): Promise<void> {
  await tables.query({ text: `INSERT INTO job_payloads (id, payload) VALUES ($1, '{}')`, values: [payloadId] });
  await tables.query({
    text: `INSERT INTO job_items (payload_id, item, payload)
      SELECT $1, place - 1, payload FROM json_array_elements($2) WITH ORDINALITY AS i (payload, place)`,
    values: [payloadId, JSON.stringify(items)],
  });
}

/** A job as a worker has it after leasing it. */
export const queuedJob = (given: Partial<QueuedJob> = {}): QueuedJob => ({
  jobId: newJobId(),
  version: 1,
  lane: 'dummy',
  jobType: 'dummy',
  ownerId: 'user-1',
  parameters: '{}',
  payloadId: null,
  payload: null,
  provider: null,
  total: 1,
  allowed: 3,
  runAt: new Date(0),
  backoff: BACKOFF,
  priority: 0,
  repeatCron: null,
  repeatZone: null,
  repeatMissed: null,
  repeatUntil: null,
  repeatCount: null,
  occurred: 0,
  abandoned: false,
  attempt: 0,
  counted: 0,
  retriedThrough: 0,
  ...given,
});
