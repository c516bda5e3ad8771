import type { Backoff } from '../events/jobs.ts';
import type { Database } from '../postgres/pool.ts';

/** A job that is to be worked on, as the queue knows it. */
export interface QueuedJob {
  readonly jobId: string;
  readonly version: number;
  readonly lane: string;
  readonly jobType: string;
  readonly ownerId: string;
  /** JSON. */
  readonly parameters: string;
  readonly payloadId: string | null;
  /** Null when it is not there. */
  readonly payload: unknown;
  readonly provider: string | null;
  readonly total: number;
  /** Attempts that may fail. */
  readonly allowed: number;
  readonly backoff: Backoff;
  readonly priority: number;
  readonly runAt: Date;
  readonly repeatCron: string | null;
  readonly repeatZone: string | null;
  /** An attempt runs whose worker is not heard of any more. */
  readonly abandoned: boolean;
  readonly attempt: number;
  /** Attempts that count. */
  readonly counted: number;
  /** What failed up to this attempt is to be done again; 0: nothing. */
  readonly againAfter: number;
}

export interface Held {
  readonly jobId: string;
  readonly version: number;
}

/** Time-limited claims on jobs, in rows that all workers see. The log decides whose attempt counts; this keeps others away. */
export interface Leases {
  /** Takes up to `limit` jobs of these lanes that are due, or, unless `lost` is false, whose worker is lost. */
  take(lanes: readonly string[], limit: number, lost?: boolean): Promise<QueuedJob[]>;
  /**
   * Holds on to jobs. Returns those that are still ours, each with the attempt that runs or comes next as the queue knows it;
   * undefined: the job has ended.
   */
  renew(jobIds: readonly string[]): Promise<Map<string, number | undefined>>;
  /** Lets go of jobs, each once the queue has come to that version of it: before, it looks as if it were to be done. Returns those that are ours no longer. */
  release(jobs: readonly Held[]): Promise<string[]>;
  /** Milliseconds until a free job of these lanes is due, negative for one that is; undefined when none waits. */
  nextIn(lanes: readonly string[]): Promise<number | undefined>;
}

const JOB = `q.job_id AS "jobId", q.version, q.lane, q.job_type AS "jobType", q.owner_id AS "ownerId", q.parameters,
  q.payload_id AS "payloadId", p.payload, q.provider, q.total, q.max_attempts AS allowed, q.run_at AS "runAt", q.repeat_cron AS "repeatCron",
  q.repeat_zone AS "repeatZone", q.state = 'running' AS abandoned, q.attempt, q.counted, q.redo_through AS "againAfter", q.priority,
  json_build_object('strategy', q.backoff, 'firstMs', q.backoff_first_ms, 'maxMs', q.backoff_max_ms) AS backoff`;

const FREE = `NOT EXISTS (SELECT FROM job_leases l WHERE l.job_id = q.job_id AND l.expires_at > now())`;

/**
 * Of each lane the longest due, of all of them the longest due; a row that somebody else is just taking is passed over. $5:
 * those whose worker is lost as well, which are looked for among all that run, from $6 on.
 */
const TAKE = `WITH due AS (
    SELECT q.* FROM (
      SELECT w.* FROM unnest($1::text[]) AS lane (name) CROSS JOIN LATERAL (
        SELECT q.job_id, q.run_at FROM job_queue q
        WHERE q.state = 'waiting' AND q.lane = lane.name AND q.run_at <= now() AND ${FREE}
        ORDER BY q.run_at, q.job_id LIMIT $2
      ) w
      UNION ALL
      SELECT q.job_id, q.run_at FROM job_queue q WHERE $5 AND now() >= $6 AND q.state = 'running' AND q.lane = ANY($1) AND ${FREE}
      ORDER BY run_at, job_id LIMIT $2
    ) found JOIN job_queue q ON q.job_id = found.job_id
    FOR UPDATE OF q SKIP LOCKED
  ), leased AS (
    INSERT INTO job_leases AS l (job_id, worker, expires_at)
    SELECT job_id, $3, now() + $4 * interval '1 ms' FROM due ORDER BY job_id
    ON CONFLICT (job_id) DO UPDATE SET worker = excluded.worker, expires_at = excluded.expires_at WHERE l.expires_at <= now()
    RETURNING job_id
  )
  SELECT ${JOB} FROM leased JOIN due q USING (job_id) LEFT JOIN job_payloads p ON p.id = q.payload_id ORDER BY q.run_at, q.job_id`;

const RENEW = `WITH renewed AS (
    UPDATE job_leases SET expires_at = now() + $3 * interval '1 ms' WHERE job_id = ANY($1) AND worker = $2 RETURNING job_id
  )
  SELECT job_id AS "jobId", q.attempt + (q.state = 'waiting')::int AS attempt FROM renewed LEFT JOIN job_queue q USING (job_id)`;

const RELEASE = `WITH done AS (
    SELECT r."jobId", r.version, l.job_id IS NOT NULL AS held FROM json_to_recordset($1) AS r ("jobId" text, version int)
    LEFT JOIN job_leases l ON l.job_id = r."jobId" AND l.worker = $2
  ), released AS (
    DELETE FROM job_leases l USING done d
    WHERE l.job_id = d."jobId" AND l.worker = $2
      AND NOT EXISTS (SELECT FROM job_queue q WHERE q.job_id = d."jobId" AND q.version < d.version)
    RETURNING l.job_id
  )
  SELECT job_id AS "jobId" FROM released UNION ALL SELECT "jobId" FROM done WHERE NOT held`;

/**
 * `database` finds the queue's schema and then the namespace's on its search path. No other worker has the name `worker`.
 * `takeOverFrom`: until then jobs that run are left to workers that have no leases here.
 */
export function createLeases(
  database: Database,
  worker: string,
  leaseMs: number,
  takeOverFrom: Date = new Date(0),
): Leases {
  return {
    take: (lanes, limit, lost = true) =>
      database.query<QueuedJob & Record<string, unknown>>({
        name: 'lease-jobs',
        text: TAKE,
        values: [lanes, limit, worker, leaseMs, lost, takeOverFrom],
      }),
    async renew(jobIds) {
      const query = { name: 'renew-leases', text: RENEW, values: [jobIds, worker, leaseMs] };
      const rows = await database.query<{ jobId: string; attempt: number | null }>(query);
      return new Map(rows.map(({ jobId, attempt }) => [jobId, attempt ?? undefined]));
    },
    async release(jobs) {
      const query = { name: 'release-leases', text: RELEASE, values: [JSON.stringify(jobs), worker] };
      return (await database.query<{ jobId: string }>(query)).map(({ jobId }) => jobId);
    },
    async nextIn(lanes) {
      const [row] = await database.query<{ ms: number | null }>({
        name: 'next-due',
        text: `SELECT extract(epoch FROM min(w.run_at) - now())::float8 * 1000 AS ms
          FROM unnest($1::text[]) AS lane (name) CROSS JOIN LATERAL (
            SELECT q.run_at FROM job_queue q WHERE q.state = 'waiting' AND q.lane = lane.name AND ${FREE}
            ORDER BY q.run_at, q.job_id LIMIT 1) w`,
        values: [lanes],
      });
      return row?.ms ?? undefined;
    },
  };
}
