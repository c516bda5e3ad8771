import { reasonOf } from '../errors.ts';
import { hourly, type Stoppable } from '../lifecycle.ts';
import type { Database } from '../postgres/pool.ts';
import { OVER } from '../projections/jobs.ts';

export interface CleanUpOptions {
  /** The read models, with the namespace's own tables behind them on the search path. */
  readonly database: Database;
  /** How long the data of a job is stored after its end. */
  readonly keepMs: number;
  readonly report: (message: string) => void;
}

const BATCH_ROWS = 1_000;

const LONG_OVER = `j.state IN ${OVER} AND j.finished_at < now() - $1 * interval '1 ms'`;

/** Each deletes at most $2 rows. Rows that no job refers to are deleted as well, once they are that old. Items are deleted with their payload. */
const DELETIONS = {
  job_payloads: `DELETE FROM job_payloads WHERE id IN (
      SELECT p.id FROM job_payloads p WHERE p.created_at < now() - $1 * interval '1 ms'
        AND NOT EXISTS (SELECT FROM jobs j WHERE j.payload_id = p.id AND NOT (${LONG_OVER})) LIMIT $2)`,
  job_effects: `DELETE FROM job_effects WHERE (job_id, effect) IN (
      SELECT e.job_id, e.effect FROM job_effects e JOIN jobs j ON j.id = e.job_id
      WHERE e.done_at < now() - $1 * interval '1 ms' AND ${LONG_OVER} LIMIT $2)`,
  mail_turns: `DELETE FROM mail_turns WHERE job_id IN (
      SELECT job_id FROM mail_turns WHERE again_at < now() - $1 * interval '1 ms' LIMIT $2)`,
  mail_refusals: `DELETE FROM mail_refusals WHERE (job_id, item) IN (
      SELECT job_id, item FROM mail_refusals WHERE refused_at < now() - $1 * interval '1 ms' LIMIT $2)`,
  job_leases: `DELETE FROM job_leases WHERE job_id IN (
      SELECT job_id FROM job_leases WHERE expires_at < now() - least($1::float8, 3600000) * interval '1 ms' LIMIT $2)`,
  jobs_under_way: `DELETE FROM jobs_under_way WHERE job_id IN (
      SELECT job_id FROM jobs_under_way WHERE expires_at < now() - least($1::float8, 60000) * interval '1 ms' LIMIT $2 FOR UPDATE SKIP LOCKED)`,
};

/** Deletes the data of jobs that ended long ago. Returns how many rows were deleted. */
export async function cleanUp(
  { database, keepMs }: Omit<CleanUpOptions, 'report'>,
  signal?: AbortSignal,
): Promise<number> {
  let deleted = 0;
  for (const text of Object.values(DELETIONS)) {
    for (let rows = BATCH_ROWS; rows === BATCH_ROWS && !signal?.aborted;) {
      rows = await database.use(async (client) => (await client.query(text, [keepMs, BATCH_ROWS])).rowCount ?? 0);
      deleted += rows;
    }
  }
  return deleted;
}

/** Cleans up every hour. */
export function cleanUpHourly(options: CleanUpOptions): Stoppable {
  const late = (error: unknown) => options.report(`data of ended jobs could not be deleted: ${reasonOf(error)}`);
  return hourly((signal) => cleanUp(options, signal).catch(late));
}
