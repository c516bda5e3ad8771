import type { Stoppable } from '../src/lifecycle.ts';
import { createLeases, type QueuedJob } from '../src/jobs/leases.ts';
import { WORKER } from '../src/consumers/worker.ts';
import { laneOf } from '../src/jobs/queue.ts';
import { queueSchema } from '../src/jobs/queue-feed.ts';
import { jobTypes } from '../src/jobs/job-types.ts';
import type { PostgresConnection } from '../src/postgres/connection.ts';
import { openDatabase } from '../src/postgres/pool.ts';
import type { Build } from './build.ts';

const NAMESPACE = 'openmusic';
const QUEUE = queueSchema(NAMESPACE, WORKER);

/** A worker's leases, without the worker. */
export interface WorkerQueue extends Stoppable {
  take(): Promise<QueuedJob>;
  giveBack(job: QueuedJob): Promise<void>;
}

const LEASE_MS = 30_000;

export function openQueue(connection: PostgresConnection): WorkerQueue {
  const database = openDatabase(connection, { name: 'bench', max: 1, searchPath: [QUEUE, NAMESPACE, 'public'] });
  const leases = createLeases(database, 'bench', LEASE_MS);
  const lanes = jobTypes.flatMap(({ name }) => [laneOf(name, null), laneOf(name, 'smtp')]);
  return {
    async take() {
      const [job] = await leases.take(lanes, 1);
      if (!job) throw new Error('no job is to be had');
      return job;
    },
    async giveBack({ jobId, version }) {
      const released = await leases.release([{ jobId, version }]);
      if (released.length !== 1) throw new Error(`${jobId} is not given back`);
    },
    stop: () => database.stop(),
  };
}

const AT_ONCE = 50_000;
const DAY = `interval '1 day'`;

/** So many finished jobs have left what they leave, and so many are due. */
export async function fillFinished({ client, schema }: Build, finished: number, waiting: number): Promise<void> {
  await client.query(`SET search_path = "${schema}", "${NAMESPACE}", public; SET synchronous_commit = off`);
  for (let done = 0; done < finished; done += AT_ONCE) {
    const some = [done, Math.min(finished, done + AT_ONCE) - 1];
    for (const text of LEFT) await client.query(text, some);
    await client.query(PASSED.queued, some);
    await client.query(PASSED.leased, some);
    await client.query(`DELETE FROM ${QUEUE}.job_queue`);
    await client.query('DELETE FROM job_leases');
    await client.query(`VACUUM ${QUEUE}.job_queue, job_leases`);
  }
  await client.query(PASSED.queued, [finished, finished + waiting - 1]);
  await client.query('VACUUM (ANALYZE)');
}

/** Accounts whose jobs are for later, three each. */
export async function fillFuture({ client, schema }: Build, accounts: number): Promise<void> {
  await client.query(`SET search_path = "${schema}", "${NAMESPACE}", public; SET synchronous_commit = off`);
  const series = [FUTURE_FROM, FUTURE_FROM + 3 * accounts - 1];
  await client.query(PASSED.queued, series);
  await client.query(
    `UPDATE ${QUEUE}.job_queue q SET due = false, run_at = now() + ${DAY}, owner_id = 'later-' || f.n / 3
      FROM (SELECT n, ${ID} AS job_id FROM ${SERIES}) f WHERE q.job_id = f.job_id`,
    series,
  );
  await client.query('VACUUM FULL ANALYZE');
}

/** Their numbers are above those of all others. */
const FUTURE_FROM = 10_000_000;

const ID = `'job-' || md5(n::text)`;
const SERIES = `generate_series($1::int, $2::int) AS n`;
const OWNER = `'user-' || n % 1000`;

/** Rows that stay. */
const LEFT = [
  `INSERT INTO jobs (id, version, owner_id, type, state, done, total, failed, created_at, finished_at, payload_id, dropped, result)
    SELECT ${ID}, 3, ${OWNER}, 'email', 'succeeded', 1, 1, 0, now() - ${DAY}, now() - ${DAY}, ${ID}, false, '{}' FROM ${SERIES}`,
  `INSERT INTO job_attempts (id, job_id, attempt, started_at, finished_at)
    SELECT ${ID} || '/1', ${ID}, 1, now() - ${DAY}, now() - ${DAY} FROM ${SERIES}`,
  `INSERT INTO job_payloads (id, payload)
    SELECT ${ID}, json_build_object('to', n || '@example.com', 'subject', 'Hello', 'body', repeat('x', 200)) FROM ${SERIES}`,
  `INSERT INTO ${QUEUE}.stream_heads (stream, version, record_id) SELECT ${ID}, 3, gen_random_uuid() FROM ${SERIES}`,
  `INSERT INTO stream_events (stream, version, record_id, command_id, topic, partition, "offset", type, body_hash, headers, value)
    SELECT ${ID}, version, gen_random_uuid(), gen_random_uuid(), '${NAMESPACE}.jobs', n % 6, n * 3 + version, 'JobRequested', '',
      json_build_object('ce_id', gen_random_uuid(), 'ce_subject', ${ID}, 'ce_source', '${NAMESPACE}', 'ce_checksum', md5(n::text)),
      decode(repeat('ab', 120), 'hex')
    FROM ${SERIES}, generate_series(1, 3) AS version`,
];

/** Rows that every job has had. */
const PASSED = {
  queued: `INSERT INTO ${QUEUE}.job_queue
      (job_id, version, lane, job_type, owner_id, parameters, total, max_attempts, priority, backoff, backoff_first_ms,
       backoff_max_ms, run_at, occurred, state, due, attempt, counted, redo_through)
    SELECT ${ID}, 1, 'dummy', 'dummy', ${OWNER}, '{"duration":0,"failures":0}', 1, 5, 0, 'none', 0, 0, now() - ${DAY} + n * interval '1 ms', 0, 'waiting', true, 0, 0, 0
    FROM ${SERIES}`,
  leased: `INSERT INTO job_leases (job_id, worker, expires_at) SELECT ${ID}, 'somebody', now() FROM ${SERIES}`,
};
