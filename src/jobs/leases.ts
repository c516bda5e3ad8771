import type { Backoff } from '../events/jobs.ts';
import type { Database } from '../postgres/pool.ts';
import { mailsOutside } from './mailing.ts';

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
  readonly repeatMissed: string | null;
  readonly repeatUntil: Date | null;
  readonly repeatCount: number | null;
  /** Of a repeating job: how often it has occurred. */
  readonly occurred: number;
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

/** How places are shared between accounts. */
export interface Sharing {
  /** Whether jobs whose worker is lost are looked for as well. */
  readonly lost?: boolean;
  /**
   * Places that an account may hold while others have due jobs. One that would hold more gets what the others leave, and never
   * the last free place: an attempt cannot be interrupted, and the next account to come would wait for its end.
   */
  readonly share?: number;
  /** Places that each account holds now. */
  readonly held?: ReadonlyMap<string, number>;
  /** One job that has a mail to another domain, in lower case, is taken instead, where there is one. */
  readonly otherDomainThan?: string | undefined;
}

/** Time-limited claims on jobs, in rows that all workers see. The log decides whose attempt counts; this keeps others away. */
export interface Leases {
  /**
   * Takes up to `limit` jobs of these lanes that are due, or, unless `lost` is false, whose worker is lost: of the accounts that
   * hold the fewest places first, and of those in turn, each account's jobs by priority, and then the longest due first.
   */
  take(lanes: readonly string[], limit: number, sharing?: Sharing): Promise<QueuedJob[]>;
  /**
   * Makes jobs due whose time has come. Returns milliseconds until the next time of any: 0 when one has just come, undefined
   * when none waits for a time.
   */
  comeDue(): Promise<number | undefined>;
  /**
   * Holds on to jobs. Returns those that are still ours, each with the attempt that runs or comes next as the queue knows it;
   * undefined: the job has ended.
   */
  renew(jobIds: readonly string[]): Promise<Map<string, number | undefined>>;
  /** Lets go of jobs, each once the queue has come to that version of it: before, it looks as if it were to be done. Returns those that are ours no longer. */
  release(jobs: readonly Held[]): Promise<string[]>;
}

const JOB = `q.job_id AS "jobId", q.version, q.lane, q.job_type AS "jobType", q.owner_id AS "ownerId", q.parameters,
  q.payload_id AS "payloadId", p.payload, q.provider, q.total, q.max_attempts AS allowed, q.run_at AS "runAt", q.repeat_cron AS "repeatCron",
  q.repeat_zone AS "repeatZone", q.repeat_missed AS "repeatMissed", q.repeat_until AS "repeatUntil", q.repeat_count AS "repeatCount", q.occurred,
  q.state = 'running' AS abandoned, q.attempt, q.counted, q.redo_through AS "againAfter", q.priority,
  json_build_object('strategy', q.backoff, 'firstMs', q.backoff_first_ms, 'maxMs', q.backoff_max_ms) AS backoff`;

const FREE = `NOT EXISTS (SELECT FROM job_leases l WHERE l.job_id = q.job_id AND l.expires_at > now())`;

const DUE = `q.state = 'waiting' AND q.due`;

/** Of jobs that are `chosen`, each with its `turn`: leases those that are not just being changed. */
const LEASE = `locked AS (
    SELECT q.* FROM job_queue q WHERE q.job_id = ANY(ARRAY(SELECT job_id FROM chosen)) FOR UPDATE SKIP LOCKED
  ), leased AS (
    INSERT INTO job_leases AS l (job_id, worker, expires_at)
    SELECT job_id, $3, now() + $4 * interval '1 ms' FROM locked ORDER BY job_id
    ON CONFLICT (job_id) DO UPDATE SET worker = excluded.worker, expires_at = excluded.expires_at WHERE l.expires_at <= now()
    RETURNING job_id
  )
  SELECT ${JOB}, l.job_id IS NOT NULL AS taken FROM chosen c LEFT JOIN leased l USING (job_id) LEFT JOIN locked q USING (job_id)
    LEFT JOIN job_payloads p ON p.id = q.payload_id ORDER BY c.turn`;

/** Looked for only when a breaker lets one call through, and among so many: the payload of each is read, of up to 50 kB. */
const TAKE_OTHER = `WITH due AS (
    SELECT q.job_id, q.payload_id FROM job_queue q WHERE ${DUE} AND q.lane = ANY($1) AND ${FREE} LIMIT 1000
  ), chosen AS (
    SELECT q.job_id, 1 AS turn FROM due q LEFT JOIN job_payloads p ON p.id = q.payload_id WHERE ${mailsOutside('$2')} LIMIT 1
  ), ${LEASE}`;

/**
 * Accounts with due jobs are found one by one along the index of each lane, from the one after the last that was served ($7) to
 * the end and from the beginning to it: what that costs depends on the jobs that are taken, not on those that wait. Two more than
 * there are places: so many can hold their share; of so many one job each is enough. $5: jobs whose worker is lost as well, which are looked for among all that
 * run, from $6 on. A row that is just being changed is passed over.
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

/** So many at once, so that others can take what is due meanwhile. */
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
  /** The account that was served last. */
  let served = '';

  /** Returns what it got, and whether others were just at some of what it wanted. */
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
      for (let tries = 0; tries < TRIES && jobs.length < limit; tries++) {
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
/** Workers that look at the same moment want the same jobs: those that lose look again. */
const TRIES = 3;

/** What each account holds once it has these jobs as well. */
function heldWith(jobs: readonly QueuedJob[], before: Sharing['held']): Map<string, number> {
  const held = new Map(before);
  for (const { ownerId } of jobs) held.set(ownerId, (held.get(ownerId) ?? 0) + 1);
  return held;
}
