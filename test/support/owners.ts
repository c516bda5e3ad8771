import type { LogOwner } from '../../src/events/genesis.ts';
import { readOwner } from '../../src/log/owner.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { openDatabase } from '../../src/postgres/pool.ts';

/** The identity of a database. */
export async function ownerOf(connection: PostgresConnection): Promise<LogOwner> {
  const database = openDatabase(connection, { name: 'test', max: 1, searchPath: ['public'] });
  return readOwner(database).finally(() => database.stop());
}
