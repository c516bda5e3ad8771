import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { STATE_VALID_MS, type CacheRow, type CacheState } from '../../cache/cache-state.ts';
import { isRead } from '../../postgres/generation-lock.ts';
import { type Client, type Database, transaction } from '../../postgres/pool.ts';

const COLUMNS = 'id, previous, enabled AS "on", run_id AS "runId", generation';
/** SQL of the database's clock in milliseconds. */
export const CLOCK = 'extract(epoch FROM clock_timestamp()) * 1000';

/** The row of a namespace. Its writes are synchronous, also in sessions with asynchronous commits. */
export function openCacheRow(database: Database): CacheRow {
  const change = (work: (client: Client) => Promise<void>) =>
    database.use((client) =>
      transaction(client, async () => {
        await client.query('SET LOCAL synchronous_commit = on');
        await work(client);
      }),
    );
  return {
    async read() {
      const text = `SELECT ${COLUMNS}, (${CLOCK})::float8 AS now FROM cache_state`;
      const [row] = await database.query<CacheState & { now: number }>({ name: 'cache-state', text });
      if (!row) throw new Error('The row of cache_state is missing. Run `npm run migrate -- up`.');
      return row;
    },
    replace: (from, to, prepare) =>
      change(async (client) => {
        const text = 'SELECT FROM cache_state WHERE id = $1 AND held_until <= clock_timestamp() FOR UPDATE';
        if ((await client.query(text, [from])).rowCount === 0) return;
        await prepare();
        await set(client, to);
      }),
    turnOff: (from, holdMs) =>
      change(async (client) => {
        const text = `SELECT ${COLUMNS} FROM cache_state WHERE id = $1 FOR UPDATE`;
        const [state] = (await client.query<CacheState>(text, [from])).rows;
        if (!state) return;
        if (state.on) await set(client, { ...state, id: randomUUID(), previous: from, on: false });
        const until = `clock_timestamp() + $1 * interval '1 millisecond'`;
        await client.query(`UPDATE cache_state SET held_until = greatest(held_until, ${until})`, [holdMs]);
      }),
  };
}

async function set(client: Client, { id, previous, on, runId, generation }: CacheState): Promise<void> {
  const text = 'UPDATE cache_state SET id = $1, previous = $2, enabled = $3, run_id = $4, generation = $5';
  await client.query(text, [id, previous, on, runId, generation]);
}

/** Whether no process reads another generation. */
export async function isOnlyOneRead(database: Database, namespace: string, generation: number): Promise<boolean> {
  const text = `SELECT NOT EXISTS (
    SELECT FROM generations g WHERE g.state = 'serving' AND g.id <> $1 AND ${isRead('g.id', '$2')}) AS only`;
  const [row] = await database.query<{ only: boolean }>({ text, values: [generation, namespace] });
  return row?.only ?? false;
}

const HELD_OFF_MS = 30_000;

/**
 * Turns the cache off for half a minute, before rows are changed without marks, and waits until no process still takes it for
 * on. Returns the id that the row must still have when the rows are changed.
 */
export async function turnOffForChanges(row: CacheRow): Promise<string> {
  const { id } = await row.read();
  await row.turnOff(id, HELD_OFF_MS);
  const state = await row.read();
  if (state.on) return turnOffForChanges(row); // another process replaced the row
  await delay(STATE_VALID_MS);
  return state.id;
}

/** Locks the row until the transaction ends, so that no process replaces it. Throws when one already has. */
export async function mustStay(client: Client, id: string): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM cache_state WHERE id = $1 FOR SHARE', [id]);
  if (rowCount !== 1) throw new Error('The cache was turned on again in the meantime. Run the command again.');
}
