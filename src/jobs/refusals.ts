import { hash } from 'node:crypto';
import type { Database } from '../postgres/pool.ts';
import { batch } from '../concurrency/batch.ts';
import { type Bounds, refusalBounds, within } from './backoff.ts';

/** A mail whose recipient was refused for now. */
export interface RefusedMail {
  readonly jobId: string;
  /** Of a batch, from 0; missing for the one mail of a job. */
  readonly item?: number;
}

/**
 * Writes down that a recipient was refused for now. Resolves to the milliseconds after which it is tried again; undefined
 * once it has been refused for as long as it may be.
 */
export type NoteRefusal = (mail: RefusedMail) => Promise<number | undefined>;

const ONLY_MAIL = -1;

const NOTE = `INSERT INTO mail_refusals AS r (job_id, item)
  SELECT DISTINCT job_id, item FROM json_to_recordset($1) AS n (job_id text, item int)
  ON CONFLICT (job_id, item) DO UPDATE SET refusals = r.refusals + 1, refused_at = now()
  RETURNING job_id AS "jobId", item, refusals, extract(epoch FROM now() - since)::float8 * 1000 AS "forMs",
    extract(epoch FROM now())::float8 * 1000 AS "nowMs"`;

interface Noted extends Record<string, unknown> {
  readonly jobId: string;
  readonly item: number;
  readonly refusals: number;
  /** Milliseconds since the first refusal. */
  readonly forMs: number;
  /** Since 1970. */
  readonly nowMs: number;
}

/**
 * The last pause is at least so long, and up to as much longer: the clock of a worker that is behind that of Postgres would have
 * the last try made again and again until the time is over. In milliseconds, and a part of all the time where that is less.
 */
const LAST_PAUSE = { ms: 60_000, part: 0.05 };

/** In the namespace's own tables, so that it outlasts every worker. What is refused at the same time is one commit. */
export function createRefusals(tables: Database, mostMs: number): NoteRefusal {
  const keyOf = ({ jobId, item = ONLY_MAIL }: RefusedMail) => `${jobId}/${item}`;
  const note = batch(async (mails: readonly RefusedMail[]) => {
    const named = mails.map(({ jobId, item = ONLY_MAIL }) => ({ job_id: jobId, item }));
    const rows = await tables.query<Noted>({ name: 'note-refusals', text: NOTE, values: [JSON.stringify(named)] });
    const noted = new Map(rows.map((row) => [keyOf(row), row]));
    return mails.map((mail) => noted.get(keyOf(mail)));
  });
  const lastMs = Math.min(LAST_PAUSE.ms, LAST_PAUSE.part * mostMs);
  return async (mail) => {
    const { refusals, forMs, nowMs } = (await note(mail)) ?? { refusals: 1, forMs: 0, nowMs: Date.now() };
    if (forMs >= mostMs) return undefined;
    const pauseMs = commonPauseMs(mail.jobId, nowMs, refusalBounds(refusals));
    if (pauseMs < mostMs - forMs) return pauseMs;
    // The last try is made when the time is over.
    const leastMs = Math.max(mostMs - forMs, lastMs);
    return commonPauseMs(mail.jobId, nowMs, { leastMs, mostMs: leastMs + lastMs });
  };
}

/**
 * Between the bounds, and until one of the moments that all mails of a job have in common, which are as far apart as the bounds: a
 * batch that takes long comes due in few waves, and holds a worker's place for those alone. Other jobs have other moments.
 */
function commonPauseMs(jobId: string, nowMs: number, bounds: Bounds): number {
  const phase = hash('sha256', jobId, 'buffer').readUInt32BE() / 2 ** 32;
  const part = phase - (nowMs + bounds.leastMs) / (bounds.mostMs - bounds.leastMs);
  return within(bounds, part - Math.floor(part));
}

/** A job that is done again has all the time again. */
export async function forgetRefusals(tables: Database, jobId: string): Promise<void> {
  const text = 'DELETE FROM mail_refusals WHERE job_id = $1';
  await tables.query({ name: 'forget-refusals', text, values: [jobId] });
}
