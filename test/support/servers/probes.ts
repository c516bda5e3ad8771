import pg from 'pg';
import type { PostgresConnection } from '../../../src/postgres/connection.ts';

export { kafkaAnswers, redisAnswers } from '../../../stack/answers.ts';

export async function postgresAnswers(connection: PostgresConnection): Promise<boolean> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: 2_000 });
  // A server that closes the connection while it starts counts as not ready, not as an unhandled event.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
