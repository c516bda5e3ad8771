import type { Backoff } from '../events/jobs.ts';
import type { Database } from '../postgres/pool.ts';
import { mailsOutside } from './mail-domains.ts';

/** A job that is due, as its row in the queue says. */
export interface QueuedJob {
  readonly jobId: string;
  readonly version: number;
  readonly lane: string;
  readonly jobType: string;
  readonly ownerId: string;
  /** JSON. */
  readonly parameters: string;
  readonly payloadId: string | null;
  /** Null when none is stored. */
  readonly payload: unknown;
  readonly provider: string | null;
  readonly total: number;
  /** How many attempts may fail. */
  readonly allowed: number;
  readonly backoff: Backoff;
  readonly priority: number;
  readonly runAt: Date;
  readonly repeatCron: string | null;
  readonly repeatZone: string | null;
  readonly repeatMissed: string | null;
  readonly repeatUntil: Date | null;
  readonly repeatCount: number | null;
  /** Of a repeating job: how often it has occurred. */
  readonly occurred: number;
  /** Its last attempt has not ended, and the worker's lease has run out. */
  readonly abandoned: boolean;
  readonly attempt: number;
  /** How many attempts count. */
  readonly counted: number;
  /** Items that failed up to this attempt are done again; 0 means none. */
  readonly retriedThrough: number;
}

export interface Held {
  readonly jobId: string;
  readonly version: number;
}

/** How places are shared between accounts. */
export interface Sharing {
  /** Whether jobs of lost workers are taken as well. */
  readonly lost?: boolean;
  /**
   * How many places an account may hold while other accounts have due jobs. An account that would hold more gets what the others leave,
   * and never the last free place: an attempt is not interrupted, so the next account to come would wait for its end.
   */
  readonly share?: number;
  /** How many places each account holds now. */
  readonly held?: ReadonlyMap<string, number>;
  /** A job that has a mail to another domain than this one, in lower case, is preferred. */
  readonly otherDomainThan?: string | undefined;
}

/** Time-limited claims on jobs, in rows that all workers see. They keep other workers away; the log decides whose attempt counts. */
export interface Leases {
  /**
   * Takes up to `limit` jobs of these lanes that are due, or whose worker is lost unless `lost` is false. Accounts that hold the
   * fewest places come first, and those in turn; each account's jobs come by priority, and then the longest due first.
   */
  take(lanes: readonly string[], limit: number, sharing?: Sharing): Promise<QueuedJob[]>;
  /**
   * Makes jobs due whose time has come. Returns the milliseconds until the next one's time: 0 when a job has just become due, undefined
   * when none waits for a time.
   */
  comeDue(): Promise<number | undefined>;
  /**
   * Renews leases. Returns the jobs that are still leased by this worker, each with the attempt that runs or comes next by its row in
   * the queue; undefined when the job has ended.
   */
  renew(jobIds: readonly string[]): Promise<Map<string, number | undefined>>;
  /**
   * Releases jobs, each once the queue has come to this version of it; before that it would still look due. Returns the jobs that are
   * no longer leased by this worker.
   */
  release(jobs: readonly Held[]): Promise<string[]>;
}

const JOB = `q.job_id AS "jobId", q.version, q.lane, q.job_type AS "jobType", q.owner_id AS "ownerId", q.parameters,
  q.payload_id AS "payloadId", p.payload, q.provider, q.total, q.max_attempts AS allowed, q.run_at AS "runAt", q.repeat_cron AS "repeatCron",
  q.repeat_zone AS "repeatZone", q.repeat_missed AS "repeatMissed", q.repeat_until AS "repeatUntil", q.repeat_count AS "repeatCount", q.occurred,
  q.state = 'running' AS abandoned, q.attempt, q.counted, q.redo_through AS "retriedThrough", q.priority,
  json_build_object('strategy', q.backoff, 'firstMs', q.backoff_first_ms, 'maxMs', q.backoff_max_ms) AS backoff`;

const FREE = `NOT EXISTS (SELECT FROM job_leases l WHERE l.job_id = q.job_id AND l.expires_at > now())`;

const DUE = `q.state = 'waiting' AND q.due`;

/**
 * Leases must outlive a crash of Postgres: a job whose lease is taken back would be leased again while its first attempt runs, and that
 * attempt would count as lost. So their transactions wait for the disk, although those of the queue itself do not (ADR 3).
 */
const DURABLY = `set_config('synchronous_commit', 'on', true)`;

/** Leases the `chosen` jobs, in the order of their `turn`, but for those whose rows are locked by a change. */
const LEASE = `locked AS (
    SELECT q.* FROM job_queue q WHERE q.job_id = ANY(ARRAY(SELECT job_id FROM chosen)) FOR UPDATE SKIP LOCKED
  ), leased AS (
    INSERT INTO job_leases AS l (job_id, worker, expires_at)
    SELECT job_id, $3, now() + $4 * interval '1 ms' FROM locked ORDER BY job_id
    ON CONFLICT (job_id) DO UPDATE SET worker = excluded.worker, expires_at = excluded.expires_at WHERE l.expires_at <= now()
    RETURNING job_id, ${DURABLY}
  )
  SELECT ${JOB}, l.job_id IS NOT NULL AS taken FROM chosen c LEFT JOIN leased l USING (job_id) LEFT JOIN locked q USING (job_id)
    LEFT JOIN job_payloads p ON p.id = q.payload_id ORDER BY c.turn`;

/** Runs only for a half-open lane, and looks at 1,000 jobs at most, because it reads the payload of each, which has up to 50 kB. */
const TAKE_OTHER = `WITH due AS (
    SELECT q.job_id, q.payload_id FROM job_queue q WHERE ${DUE} AND q.lane = ANY($1) AND ${FREE} LIMIT 1000
  ), chosen AS (
    SELECT q.job_id, 1 AS turn FROM due q LEFT JOIN job_payloads p ON p.id = q.payload_id WHERE ${mailsOutside('$2')} LIMIT 1
  ), ${LEASE}`;

/**
 * Finds accounts with due jobs one by one along the index of each lane, from the one after the last that was served ($7) to the end and
 * then from the beginning to it. So its cost depends on the jobs that are taken, not on those that wait. It stops at two more accounts than
 * places, because so many can hold their share; when there are more accounts than places, one job of each is enough. If $5 it also takes
 * jobs of lost workers, among all running ones and from the time $6 on. It passes over rows that are locked by a change.
 */
const TAKE = `WITH RECURSIVE account AS (
    SELECT lane.name AS lane, turn.later, turn.owner_id COLLATE "C" AS owner_id, turn.last COLLATE "C" AS last, 0 AS nth
    FROM unnest($1::text[]) AS lane (name), (VALUES (false, $7::text, '~'), (true, '', $7)) AS turn (later, owner_id, last)
    UNION ALL
    SELECT a.lane, a.later, next.owner_id, a.last, a.nth + 1 FROM account a CROSS JOIN LATERAL (
      SELECT q.owner_id FROM job_queue q
      WHERE ${DUE} AND q.lane = a.lane AND q.owner_id > a.owner_id AND q.owner_id <= a.last AND ${FREE}
      ORDER BY q.owner_id LIMIT 1
    ) next WHERE a.nth < $2 + 2
  ), most AS (
    SELECT CASE WHEN count(DISTINCT owner_id) > $2 + 1 THEN 1 ELSE $2 END AS jobs FROM account WHERE nth > 0
  ), found AS (
    SELECT job.*, a.later FROM account a CROSS JOIN LATERAL (
      SELECT q.job_id, q.owner_id, q.priority, q.run_at FROM job_queue q
      WHERE ${DUE} AND q.lane = a.lane AND q.owner_id = a.owner_id AND ${FREE}
      ORDER BY q.priority DESC, q.run_at, q.job_id LIMIT (SELECT jobs FROM most)
    ) job WHERE a.nth > 0
    UNION ALL
    SELECT q.job_id, q.owner_id, q.priority, q.run_at, q.owner_id <= $7 FROM job_queue q
    WHERE $5 AND now() >= $6 AND q.state = 'running' AND q.lane = ANY($1) AND ${FREE}
  ), placed AS (
    SELECT f.*, coalesce(($8::json ->> f.owner_id)::int, 0)
      + row_number() OVER (PARTITION BY owner_id ORDER BY priority DESC, run_at, job_id) AS place
    FROM found f
  ), ranked AS (
    SELECT job_id, place > $9 AS over, row_number() OVER (ORDER BY place > $9, place, later, owner_id) AS turn FROM placed
  ), chosen AS (
    SELECT job_id, turn FROM ranked WHERE turn <= $2 AND (NOT over OR turn < $2)
  ), ${LEASE}`;

/** At most 1,000 at once, so that other workers can take what is due meanwhile. */
const COME_DUE = `WITH late AS (
    SELECT job_id FROM job_queue WHERE state = 'waiting' AND NOT due AND run_at <= now()
    ORDER BY run_at, job_id LIMIT 1000 FOR UPDATE SKIP LOCKED
  ), come AS (
    UPDATE job_queue q SET due = true FROM late WHERE q.job_id = late.job_id RETURNING q.job_id
  )
  SELECT CASE WHEN EXISTS (SELECT FROM come) THEN 0 ELSE (
    SELECT extract(epoch FROM run_at - now())::float8 * 1000 FROM job_queue
    WHERE state = 'waiting' AND NOT due AND run_at > now() ORDER BY run_at, job_id LIMIT 1) END AS ms`;

const RENEW = `WITH renewed AS (
    UPDATE job_leases SET expires_at = now() + $3 * interval '1 ms' WHERE job_id = ANY($1) AND worker = $2 RETURNING job_id, ${DURABLY}
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
 * `database` has the queue's schema and then the namespace's on its search path. `worker` is a unique name. Until `takeOverFrom`
 * running jobs are left to workers whose leases are in another database.
 */
export function createLeases(
  database: Database,
  worker: string,
  leaseMs: number,
  takeOverFrom: Date = new Date(0),
): Leases {
  /** The account that was served last. */
  let served = '';

  /** Returns the jobs, and whether other workers had locked some of those that it wanted. */
  async function takeOnce(lanes: readonly string[], limit: number, { lost = true, share, held }: Sharing) {
    const places = JSON.stringify(Object.fromEntries(held ?? []));
    const rows = await database.query<Taken>({
      name: 'lease-jobs',
      text: TAKE,
      values: [lanes, limit, worker, leaseMs, lost, takeOverFrom, served, places, share ?? NO_SHARE],
    });
    const jobs = rows.flatMap(({ taken, ...job }) => (taken ? [job] : []));
    served = jobs.at(-1)?.ownerId ?? served;
    return { jobs, isContended: jobs.length < rows.length };
  }

  async function takeOther(lanes: readonly string[], domain: string): Promise<QueuedJob[]> {
    const query = { name: 'lease-other-job', text: TAKE_OTHER, values: [lanes, domain, worker, leaseMs] };
    return (await database.query<Taken>(query)).flatMap(({ taken, ...job }) => (taken ? [job] : []));
  }

  return {
    async take(lanes, limit, { otherDomainThan, ...sharing } = {}) {
      const jobs = otherDomainThan === undefined ? [] : await takeOther(lanes, otherDomainThan);
      for (let tries = 0; tries < MAX_TRIES && jobs.length < limit; tries++) {
        const held = heldWith(jobs, sharing.held);
        const taken = await takeOnce(lanes, limit - jobs.length, { ...sharing, held });
        jobs.push(...taken.jobs);
        if (!taken.isContended) break;
      }
      return jobs;
    },
    async comeDue() {
      const [row] = await database.query<{ ms: number | null }>({ name: 'come-due', text: COME_DUE });
      return row?.ms ?? undefined;
    },
    async renew(jobIds) {
      const query = { name: 'renew-leases', text: RENEW, values: [jobIds, worker, leaseMs] };
      const rows = await database.query<{ jobId: string; attempt: number | null }>(query);
      return new Map(rows.map(({ jobId, attempt }) => [jobId, attempt ?? undefined]));
    },
    async release(jobs) {
      const query = { name: 'release-leases', text: RELEASE, values: [JSON.stringify(jobs), worker] };
      return (await database.query<{ jobId: string }>(query)).map(({ jobId }) => jobId);
    },
  };
}

type Taken = QueuedJob & { readonly taken: boolean } & Record<string, unknown>;

/** More places than any worker has. */
const NO_SHARE = 2 ** 31 - 1;
/** Workers that look at the same moment want the same jobs. Those that lose look again. */
const MAX_TRIES = 3;

/** How many places each account holds with these jobs as well. */
function heldWith(jobs: readonly QueuedJob[], before: Sharing['held']): Map<string, number> {
  const held = new Map(before);
  for (const { ownerId } of jobs) held.set(ownerId, (held.get(ownerId) ?? 0) + 1);
  return held;
}
