import { hash } from 'node:crypto';
import type { Database } from '../postgres/pool.ts';
import { together } from '../together.ts';
import { refusalPauseMs } from './backoff.ts';

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
  RETURNING job_id AS "jobId", item, refusals, extract(epoch FROM now() - since)::float8 * 1000 AS "forMs"`;

interface Noted extends Record<string, unknown> {
  readonly jobId: string;
  readonly item: number;
  readonly refusals: number;
  /** Milliseconds since the first refusal. */
  readonly forMs: number;
}

/** In the namespace's own tables, so that it outlasts every worker. What is refused at the same time is one commit. */
export function createRefusals(tables: Database, mostMs: number): NoteRefusal {
  const keyOf = ({ jobId, item = ONLY_MAIL }: RefusedMail) => `${jobId}/${item}`;
  const note = together(async (mails: readonly RefusedMail[]) => {
    const named = mails.map(({ jobId, item = ONLY_MAIL }) => ({ job_id: jobId, item }));
    const rows = await tables.query<Noted>({ name: 'note-refusals', text: NOTE, values: [JSON.stringify(named)] });
    const noted = new Map(rows.map((row) => [keyOf(row), row]));
    return mails.map((mail) => noted.get(keyOf(mail)));
  });
  return async (mail) => {
    const { refusals, forMs } = (await note(mail)) ?? { refusals: 1, forMs: 0 };
    if (forMs >= mostMs) return undefined;
    // The last try is made when the time is over.
    return Math.min(refusalPauseMs(refusals, jitterOf(mail.jobId, refusals)), mostMs - forMs);
  };
}

/** From 0 to 1. The same for all mails of a batch, so that they come due together and hold a worker's place once. */
const jitterOf = (jobId: string, refusals: number): number =>
  hash('sha256', `${jobId} ${refusals}`, 'buffer').readUInt32BE() / 2 ** 32;

/** A job that is done again has all the time again. */
export async function forgetRefusals(tables: Database, jobId: string): Promise<void> {
  const text = 'DELETE FROM mail_refusals WHERE job_id = $1';
  await tables.query({ name: 'forget-refusals', text, values: [jobId] });
}
