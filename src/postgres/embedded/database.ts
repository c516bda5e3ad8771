import pg from 'pg';
import type { PostgresConnection } from '../connection.ts';
import { SUPERUSER } from './cluster.ts';

const DATABASE = 'openmusic';

export const connectionTo = (port: number, password: string, database = DATABASE): PostgresConnection => ({
  host: '127.0.0.1',
  port,
  user: SUPERUSER,
  password,
  database,
});

/** Creates the database unless it exists: after initdb, or after a crash between the two. */
export async function ensureDatabase(port: number, password: string): Promise<void> {
  const client = new pg.Client({ ...connectionTo(port, password, 'postgres'), connectionTimeoutMillis: 10_000 });
  // A broken connection rejects the query. Without a listener its own event would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`).catch(ignoreDuplicate);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Two processes may create it at the same time. The later one gets either code, depending on the timing. */
function ignoreDuplicate(error: pg.DatabaseError): void {
  if (error.code !== '42P04' && error.code !== '23505') throw error;
}
