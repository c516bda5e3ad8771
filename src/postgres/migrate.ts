import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import { lockSession } from './advisory-lock.ts';
import { connectOnceUp } from './connect.ts';
import type { PostgresConnection } from './connection.ts';
import { clientConfig } from './pool.ts';
import { liftTimeLimits } from './time-limits.ts';

const dir = fileURLToPath(new URL('../../migrations', import.meta.url));

export interface MigrateOptions {
  readonly connection: PostgresConnection;
  readonly namespace: string;
  /** Only say what is missing. */
  readonly dryRun?: boolean;
  /** Why it waits for the server, if it does. */
  readonly report?: (message: string) => void;
}

/**
 * Brings the namespace's own schema up to date, one process at a time. Extensions are shared by all namespaces of a
 * database, so the lock is too. Returns the names of the migrations that were, or would be, applied.
 */
export async function migrate({ connection, namespace, dryRun = false, report }: MigrateOptions): Promise<string[]> {
  const client = await connectOnceUp(
    clientConfig(connection, { name: 'openmusic migrate', searchPath: [namespace, 'public'], queryTimeoutMs: 600_000 }),
    report,
  );
  try {
    await liftTimeLimits(client);
    await lockSession(client, 'openmusic migrate');
    const applied = await runner({
      dbClient: client,
      dir,
      direction: 'up',
      schema: [namespace, 'public'],
      createSchema: !dryRun,
      migrationsSchema: namespace,
      createMigrationsSchema: !dryRun,
      migrationsTable: 'migrations',
      noLock: true,
      dryRun,
      log: () => undefined,
    });
    return applied.map(({ name }) => name);
  } finally {
    await client.end();
  }
}
