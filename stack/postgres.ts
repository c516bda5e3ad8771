import { symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { PostgresConnection } from '../src/postgres/connection.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../src/postgres/embedded.ts';
import { guard } from './guard.ts';
import { lastLines } from './log-file.ts';
import type { Service } from './service.ts';

export interface PostgresOptions {
  readonly directory: string;
  readonly port: number;
  /** A link to its log, which lies in `directory`. */
  readonly log: string;
}

/** Starts the embedded PostgreSQL on a port that is known in advance. */
export async function startPostgres(
  options: PostgresOptions,
): Promise<Service & { readonly connection: PostgresConnection }> {
  const { directory, port, log } = options;
  await symlink(relative(dirname(log), join(directory, 'postgres.log')), log).catch(ignoreExisting);
  const server = await startEmbeddedPostgres({ dataDir: directory, port, log: () => undefined });
  endWithUs(server);
  const { connection, pid } = server;
  return {
    name: 'postgres',
    pid,
    connection,
    log,
    address: `postgres://${connection.user}@${connection.host}:${port}/${connection.database}`,
    ended: server.exited.then(({ code, signal }) => signal ?? `exit code ${code ?? ''}`),
    stop: () => server.stop(),
    lastLines: () => lastLines(log),
  };
}

/** SIGQUIT ends its backends too; after SIGKILL they live on for a moment. */
function endWithUs({ pid, exited }: EmbeddedPostgres): void {
  const disarm = guard(`kill -QUIT ${pid}; sleep 2; kill -9 ${pid}`);
  void exited.then(disarm);
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
