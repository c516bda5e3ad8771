import type { Database } from '../postgres/pool.ts';
import { batchWrites } from '../concurrency/batch.ts';
import { MAIL_DOMAIN } from './mail-domains.ts';

/** One of the many things that a job does. */
export interface Item {
  /** From 0. */
  readonly index: number;
  readonly payload: unknown;
  /** How many attempts at it have failed. */
  readonly attempts: number;
}

/** The items of one job. A settled item stays settled when another worker goes on after a crash. */
export interface Items {
  /** At most `limit` items that are due, in order, none of them twice unless it was postponed. Mails to `lastDomain`, in lower case, come last. */
  due(limit: number, lastDomain?: string): Promise<Item[]>;
  done(index: number, result?: string): Promise<void>;
  /** The item has failed for good. */
  failed(index: number, error: string): Promise<void>;
  /** The item has failed and is due again after that many milliseconds. */
  postpone(index: number, error: string, pauseMs: number): Promise<void>;
  /** The item is due again after that many milliseconds. That does not count as an attempt. */
  defer(index: number, error: string, pauseMs: number): Promise<void>;
  /** Adds a failed item that was found on the way. */
  report(index: number, error: string): Promise<void>;
  counts(): Promise<{ readonly total: number; readonly done: number; readonly failed: number }>;
  /** Milliseconds until the next item is due; undefined when none is left. */
  nextIn(): Promise<number | undefined>;
}

const DUE = `SELECT item AS index, payload, attempts FROM job_items
  WHERE payload_id = $1 AND state = 'waiting' AND next_at <= now() ORDER BY item LIMIT $2`;

const DUE_ELSEWHERE = DUE.replace('ORDER BY', `ORDER BY ${MAIL_DOMAIN} = $3,`);

const SETTLE = `UPDATE job_items i SET state = s.state, error = s.error, result = s.result, attempts = i.attempts + s.attempts,
    settled_at = CASE WHEN s.state = 'waiting' THEN NULL ELSE now() END,
    next_at = now() + coalesce(s.pause, 0) * interval '1 ms'
  FROM json_to_recordset($2) AS s (item int, state text, error text, result text, pause float8, attempts int)
  WHERE i.payload_id = $1 AND i.item = s.item AND i.state = 'waiting'`;

const REPORT = `INSERT INTO job_items (payload_id, item, payload, state, attempts, error, settled_at)
  SELECT $1, r.item, 'null', 'failed', 1, r.error, now() FROM json_to_recordset($2) AS r (item int, error text) ON CONFLICT DO NOTHING`;

const COUNTS = `SELECT count(*) AS total, count(*) FILTER (WHERE state = 'done') AS done, count(*) FILTER (WHERE state = 'failed') AS failed
  FROM job_items WHERE payload_id = $1`;

const NEXT_IN = `SELECT extract(epoch FROM next_at - now())::float8 * 1000 AS ms FROM job_items
  WHERE payload_id = $1 AND state = 'waiting' ORDER BY next_at LIMIT 1`;

interface Settled {
  readonly item: number;
  readonly state: 'done' | 'failed' | 'waiting';
  readonly error?: string;
  readonly result?: string;
  readonly pause?: number;
  /** By how many the attempts grow: 0 or 1. */
  readonly attempts: number;
}

type Reported = Required<Pick<Settled, 'item' | 'error'>>;

/** The items of one job, in the namespace's own tables. Items that are settled at the same time are one commit. */
export function createItems(tables: Database, payloadId: string): Items {
  const settle = batchWrites<Settled>((rows) => write('settle-items', SETTLE, rows));
  const report = batchWrites<Reported>((rows) => write('report-items', REPORT, rows));
  const write = (name: string, text: string, rows: readonly object[]) =>
    tables.query({ name, text, values: [payloadId, JSON.stringify(rows)] });
  const only = async <Row extends Record<string, unknown>>(name: string, text: string) =>
    (await tables.query<Row>({ name, text, values: [payloadId] }))[0];
  return {
    due: (limit, lastDomain) =>
      tables.query<Item & Record<string, unknown>>(
        lastDomain === undefined
          ? { name: 'due-items', text: DUE, values: [payloadId, limit] }
          : { name: 'due-items-elsewhere', text: DUE_ELSEWHERE, values: [payloadId, limit, lastDomain] },
      ),
    done: (item, result) => settle({ item, state: 'done', attempts: 1, result }),
    failed: (item, error) => settle({ item, state: 'failed', attempts: 1, error }),
    postpone: (item, error, pause) => settle({ item, state: 'waiting', attempts: 1, error, pause }),
    defer: (item, error, pause) => settle({ item, state: 'waiting', attempts: 0, error, pause }),
    report: (item, error) => report({ item, error }),
    async counts() {
      const row = await only<{ total: number; done: number; failed: number }>('count-items', COUNTS);
      return row ?? { total: 0, done: 0, failed: 0 };
    },
    nextIn: async () => (await only<{ ms: number }>('next-item', NEXT_IN))?.ms,
  };
}

/** Makes failed items due again. */
export async function retryFailedItems(tables: Database, payloadId: string): Promise<void> {
  const text = `UPDATE job_items SET state = 'waiting', attempts = 0, next_at = now(), settled_at = NULL WHERE payload_id = $1 AND state = 'failed'`;
  await tables.query({ name: 'again-items', text, values: [payloadId] });
}
