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
  /** Only returns the missing migrations. */
  readonly dryRun?: boolean;
  /** Called with the reason when it has to wait for the server. */
  readonly report?: (message: string) => void;
}

/**
 * Updates the namespace's own schema, one process at a time. All namespaces of a database share the lock, because they share
 * extensions. Returns the names of the migrations that were, or would be, applied.
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
