/**
 * An app of its own that runs an embedded Postgres, for tests that kill, freeze and interrupt it. Takes its options as
 * JSON, sends its parent `ready` or `failed`, `interrupted` on Ctrl-C, and stops when the parent says so.
 */
import { joinOrStartEmbeddedPostgres, startEmbeddedPostgres } from '../../src/postgres/embedded.ts';

export interface ChildOptions {
  dataDir: string;
  packageDir?: string;
  join?: boolean;
  user?: { uid: number; gid: number };
}

export type ChildMessage =
  | { kind: 'ready'; pid: number; port: number; started: boolean; password: string }
  | { kind: 'failed'; name: string; message: string }
  | { kind: 'interrupted' };

const { join, user, ...options } = JSON.parse(process.argv[2] ?? '{}') as ChildOptions;
const tell = (message: ChildMessage) => process.send?.(message);

if (user) {
  process.setgroups?.([]);
  process.setgid?.(user.gid);
  process.setuid?.(user.uid);
}
process.on('SIGINT', () => tell({ kind: 'interrupted' }));

try {
  const begin = join ? joinOrStartEmbeddedPostgres : startEmbeddedPostgres;
  const server = await begin({ ...options, log: () => undefined });
  process.once('message', () => void server.stop().then(() => process.disconnect()));
  tell({
    kind: 'ready',
    pid: server.pid,
    port: server.connection.port,
    started: server.started,
    password: server.connection.password,
  });
} catch (error) {
  const { name, message } = error as Error;
  tell({ kind: 'failed', name, message });
  process.disconnect();
}
