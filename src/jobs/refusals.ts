import { hash } from 'node:crypto';
import { z } from 'zod';
import type { Database } from '../postgres/pool.ts';
import { batch } from '../concurrency/batch.ts';
import { type Bounds, refusalBounds, within } from './backoff.ts';

/** A mail whose recipient was refused for now. */
export interface RefusedMail {
  readonly jobId: string;
  /** Index in a batch, from 0. Missing when the job has only one mail. */
  readonly item?: number;
}

/**
 * Records that a recipient was refused for now. Resolves to the milliseconds until the next try; undefined once the recipient has been
 * refused for the longest time that is allowed.
 */
export type NoteRefusal = (mail: RefusedMail) => Promise<number | undefined>;

const ONLY_MAIL = -1;

const NOTE = `INSERT INTO mail_refusals AS r (job_id, item)
  SELECT DISTINCT job_id, item FROM json_to_recordset($1) AS n (job_id text, item int)
  ON CONFLICT (job_id, item) DO UPDATE SET refusals = r.refusals + 1, refused_at = now()
  RETURNING job_id AS "jobId", item, refusals, extract(epoch FROM now() - since)::float8 * 1000 AS "forMs",
    extract(epoch FROM now())::float8 * 1000 AS "nowMs"`;

const refusalRows = z.array(
  z.object({
    jobId: z.string(),
    item: z.int(),
    refusals: z.int(),
    /** Milliseconds since the first refusal. */
    forMs: z.number(),
    /** Milliseconds since the epoch. */
    nowMs: z.number(),
  }),
);

/**
 * The shortest last pause, in milliseconds, or as a part of the whole time where that is less; the longest is twice as long. Without it a
 * worker whose clock is behind that of Postgres would make the last try again and again until the time is over.
 */
const LAST_PAUSE = { ms: 60_000, part: 0.05 };

/** Refusals in the namespace's own tables, where they outlive every worker. Those of the same time are one commit. `maxMs`: how long a recipient may be refused. */
export function createRefusals(tables: Database, maxMs: number): NoteRefusal {
  const keyOf = ({ jobId, item = ONLY_MAIL }: RefusedMail) => `${jobId}/${item}`;
  const note = batch(async (mails: readonly RefusedMail[]) => {
    const named = mails.map(({ jobId, item = ONLY_MAIL }) => ({ job_id: jobId, item }));
    const query = { name: 'note-refusals', text: NOTE, values: [JSON.stringify(named)] };
    const rows = refusalRows.parse(await tables.query(query));
    const refused = new Map(rows.map((row) => [keyOf(row), row]));
    return mails.map((mail) => refused.get(keyOf(mail)));
  });
  const lastMs = Math.min(LAST_PAUSE.ms, LAST_PAUSE.part * maxMs);
  return async (mail) => {
    const { refusals, forMs, nowMs } = (await note(mail)) ?? { refusals: 1, forMs: 0, nowMs: Date.now() };
    if (forMs >= maxMs) return undefined;
    const pauseMs = commonPauseMs(mail.jobId, nowMs, refusalBounds(refusals));
    if (pauseMs < maxMs - forMs) return pauseMs;
    // The last try comes when the time is over.
    const minMs = Math.max(maxMs - forMs, lastMs);
    return commonPauseMs(mail.jobId, nowMs, { minMs, maxMs: minMs + lastMs });
  };
}

/**
 * A pause between the bounds that ends at one of the times that all mails of a job share; these are as far apart as the bounds. So the
 * mails of a long batch come due in few waves, and hold a worker's place only then. Other jobs have other times.
 */
function commonPauseMs(jobId: string, nowMs: number, bounds: Bounds): number {
  const phase = hash('sha256', jobId, 'buffer').readUInt32BE() / 2 ** 32;
  const part = phase - (nowMs + bounds.minMs) / (bounds.maxMs - bounds.minMs);
  return within(bounds, part - Math.floor(part));
}

/** A job that is retried by hand has the whole time again. */
export async function forgetRefusals(tables: Database, jobId: string): Promise<void> {
  const text = 'DELETE FROM mail_refusals WHERE job_id = $1';
  await tables.query({ name: 'forget-refusals', text, values: [jobId] });
}
