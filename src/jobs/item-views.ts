import type { Database } from '../postgres/pool.ts';

/** One item of a batch as clients see it. */
export interface ItemView {
  /** From 0. */
  readonly item: number;
  readonly state: 'waiting' | 'done' | 'failed';
  readonly attempts: number;
  /** Recipient of a mail. */
  readonly to?: string;
  /** File of an archive. */
  readonly fileId?: string;
  /** ISO 8601: a waiting item is not tried before. */
  readonly nextAt?: string;
  readonly error?: string;
  readonly result?: string;
  readonly settledAt?: string;
}

interface ItemRow extends Record<string, unknown> {
  readonly item: number;
  readonly state: ItemView['state'];
  readonly attempts: number;
  readonly recipient: string | null;
  readonly file_id: string | null;
  readonly next_at: Date | null;
  readonly error: string | null;
  readonly result: string | null;
  readonly settled_at: Date | null;
}

/** At most `limit` items of a payload after the index `after`, in order. `tables`: the namespace's own. */
export async function itemViewsOf(
  tables: Pick<Database, 'query'>,
  payloadId: string,
  limit: number,
  after = -1,
): Promise<ItemView[]> {
  const rows = await tables.query<ItemRow>({
    name: 'items-of',
    text: `SELECT item, state, attempts, payload->>'to' AS recipient, payload->>'fileId' AS file_id, error, result, settled_at,
        CASE WHEN state = 'waiting' AND next_at > '-infinity' THEN next_at END AS next_at
      FROM job_items WHERE payload_id = $1 AND item > $2 ORDER BY item LIMIT $3`,
    values: [payloadId, after, limit],
  });
  return rows.map(viewOf);
}

const viewOf = ({
  item,
  state,
  attempts,
  recipient,
  file_id,
  next_at,
  error,
  result,
  settled_at,
}: ItemRow): ItemView => ({
  item,
  state,
  attempts,
  ...(recipient !== null && { to: recipient }),
  ...(file_id !== null && { fileId: file_id }),
  ...(next_at && { nextAt: next_at.toISOString() }),
  ...(error !== null && { error }),
  ...(result !== null && { result }),
  ...(settled_at && { settledAt: settled_at.toISOString() }),
});
