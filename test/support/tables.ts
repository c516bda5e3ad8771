import { migrate } from '../../src/postgres/migrate.ts';
import { type Database, openDatabase } from '../../src/postgres/pool.ts';
import { createDatabase, namespace } from './servers/index.ts';

export interface MigratedTables {
  /** The namespace's own tables, migrated, in a database of their own. */
  readonly tables: Database;
  /** Closes the connections and drops the database. */
  drop(): Promise<void>;
}

export async function migratedTables(): Promise<MigratedTables> {
  const server = await createDatabase();
  const name = namespace();
  await migrate({ connection: server.connection, namespace: name });
  const tables = openDatabase(server.connection, { name: 'tables', max: 8, searchPath: [name, 'public'] });
  return {
    tables,
    async drop() {
      await tables.stop();
      await server.drop();
    },
  };
}
