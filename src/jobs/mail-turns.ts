import { hash } from 'node:crypto';
import { lockUntilEnd } from '../postgres/advisory-lock.ts';
import { type Database, transaction } from '../postgres/pool.ts';

/** A mail that a user asks for. */
export interface AskedMail {
  readonly jobId: string;
  /** Id of the account that asks for it. */
  readonly account: string;
  /** An e-mail address. */
  readonly to: string;
}

/** A mailbox gets at most `count` mails in `seconds`. */
export interface MailRate {
  readonly count: number;
  readonly seconds: number;
}

/** Takes a turn at a mailbox. Resolves to 0 when the mail may be sent, or to the milliseconds after which the job must ask again. */
export type TakeMailTurn = (mail: AskedMail) => Promise<number>;

/** Held until the end of the transaction, so that one process at a time decides which job is next. */
const LOCK = `SELECT ${lockUntilEnd(`'openmusic mailbox ' || encode($1::bytea, 'hex')`)}`;

/** Deletes turns that are over, and those of jobs that did not come back in time. */
const FORGET = `DELETE FROM mail_turns WHERE mailbox = $1 AND job_id <> $2
    AND CASE WHEN granted_at IS NULL THEN again_at < now() - interval '10 minutes' ELSE granted_at <= now() - $3 * interval '1 s' END`;

/** A job whose turn is over because its mail was not sent in that time takes another turn. */
const ASK = `INSERT INTO mail_turns AS t (job_id, mailbox, account_id) VALUES ($1, $2, $3)
  ON CONFLICT (job_id) DO UPDATE SET granted_at = NULL, asked_at = clock_timestamp() WHERE t.granted_at <= now() - $4 * interval '1 s'`;

/**
 * The job's place in the line, from 1; null when it has its turn. The account with the fewest mails to the mailbox comes first, and of each
 * account the job that asked first. Also the ends of all granted turns, because each end makes room for one job.
 */
const PLACE = `WITH had AS (
    SELECT account_id, count(*) AS mails FROM mail_turns WHERE mailbox = $1 AND granted_at IS NOT NULL GROUP BY account_id
  ), waiting AS (
    SELECT job_id, account_id, asked_at, row_number() OVER (PARTITION BY account_id ORDER BY asked_at, job_id) AS nth
    FROM mail_turns WHERE mailbox = $1 AND granted_at IS NULL
  ), line AS (
    SELECT job_id, row_number() OVER (ORDER BY nth + coalesce(mails, 0), asked_at, job_id) AS place
    FROM waiting LEFT JOIN had USING (account_id)
  )
  SELECT (SELECT place FROM line WHERE job_id = $2)::int AS place,
    ARRAY(SELECT extract(epoch FROM granted_at + $3 * interval '1 s' - now())::float8 * 1000
      FROM mail_turns WHERE mailbox = $1 AND granted_at IS NOT NULL ORDER BY granted_at) AS ends`;

const GRANT = `UPDATE mail_turns SET granted_at = now() WHERE job_id = $1`;
const WAIT = `UPDATE mail_turns SET again_at = now() + $2 * interval '1 ms' WHERE job_id = $1`;

/** Turns in the namespace's own tables. */
export const createMailTurns =
  (tables: Database, { count, seconds }: MailRate): TakeMailTurn =>
  ({ jobId, account, to }) =>
    tables.use((client) =>
      transaction(client, async () => {
        const mailbox = mailboxOf(to);
        await client.query(LOCK, [mailbox]);
        await client.query(FORGET, [mailbox, jobId, seconds]);
        await client.query(ASK, [jobId, mailbox, account, seconds]);
        const { rows } = await client.query<Line>(PLACE, [mailbox, jobId, seconds]);
        const ms = waitOf(rows[0], count, seconds);
        await (ms === 0 ? client.query(GRANT, [jobId]) : client.query(WAIT, [jobId, ms]));
        return ms;
      }),
    );

interface Line {
  /** Null when the job has its turn. */
  readonly place: number | null;
  /** Milliseconds until the end of each granted turn, the oldest first. */
  readonly ends: readonly number[];
}

/**
 * Each turn that ends makes room for the next job of the line, whose own turn then ends one full time later. Turns that are free now go to
 * the first jobs of the line, and end after a full time.
 */
function waitOf(line: Line | undefined, count: number, seconds: number): number {
  const behind = (line?.place ?? 0) - (count - (line?.ends.length ?? 0));
  if (!line?.place || behind <= 0) return 0;
  const rounds = Math.floor((behind - 1) / count);
  const end = line.ends[(behind - 1) % count] ?? seconds * 1_000;
  return Math.max(1, Math.ceil(end + rounds * seconds * 1_000));
}

/** Addresses that lead to the same mailbox have the same hash: case and what follows a plus sign are ignored. */
function mailboxOf(address: string): Buffer {
  const [local = '', domain = ''] = address.toLowerCase().split('@');
  return hash('sha256', `${local.split('+', 1)[0] ?? ''}@${domain}`, 'buffer');
}
