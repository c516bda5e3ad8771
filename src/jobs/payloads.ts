import type { Database } from '../postgres/pool.ts';

/** The payload of a job as it was requested; null when none was stored, or it has been deleted. */
export async function storedPayload(tables: Pick<Database, 'query'>, id: string): Promise<unknown> {
  const [row] = await tables.query<{ payload: unknown }>({
    name: 'payload-kept',
    text: 'SELECT payload FROM job_payloads WHERE id = $1',
    values: [id],
  });
  return row?.payload ?? null;
}
