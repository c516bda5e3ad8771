import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresConnection } from '../../../src/postgres/connection.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/postgres/embedded.ts';
import { guard } from '../../../stack/guard.ts';
import { freePort } from '../ports.ts';
import type { NativeServer } from './types.ts';

export interface NativePostgresOptions {
  /** Kept by `stop`, and used again; without it a temporary one, which is removed. */
  dir?: string;
  port?: number;
  /** More settings of postgresql.conf. */
  settings?: Record<string, string>;
}

export type NativePostgres = NativeServer & { connection: PostgresConnection };

/** The embedded Postgres of `src/postgres`, on data of its own. */
export async function startNativePostgres({
  dir,
  settings,
  ...options
}: NativePostgresOptions = {}): Promise<NativePostgres> {
  const dataDir = dir ?? (await temporaryDirectory());
  const port = options.port ?? (await freePort());
  const start = () => guarded({ dataDir, port, settings, ownDirectory: dir === undefined });
  let server = await start();
  const kill = () => killFamily(server);
  return {
    connection: server.connection,
    get pid() {
      return server.pid;
    },
    kill,
    freeze: () => signalFamily(server.pid, 'SIGSTOP').then(() => undefined),
    thaw: () => signalFamily(server.pid, 'SIGCONT').then(() => undefined),
    stop: async () => {
      await signalFamily(server.pid, 'SIGCONT');
      if (dir === undefined) send(server.pid, 'SIGQUIT'); // without a checkpoint: its data are removed
      await server.stop();
      if (dir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
    restart: async () => {
      await kill();
      server = await start();
    },
  };
}

/** As root the server runs as another user, who needs access to the path. */
async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'openmusic-postgres-'));
  await chmod(directory, 0o755);
  return directory;
}

interface Start {
  dataDir: string;
  port: number;
  settings: Record<string, string> | undefined;
  ownDirectory: boolean;
}

async function guarded({ dataDir, port, settings, ownDirectory }: Start): Promise<EmbeddedPostgres> {
  const lines: string[] = [];
  const server = await startEmbeddedPostgres({ dataDir, port, settings, log: (line) => lines.push(line) }).catch(
    (error: unknown) => {
      throw new Error(`Postgres did not start: ${lines.slice(-5).join('\n')}`, { cause: error });
    },
  );
  const clean = ownDirectory ? `; rm -rf '${dataDir}'` : '';
  const disarm = guard(`kill -INT ${server.pid}; sleep 1; kill -9 ${server.pid}${clean}`);
  void server.exited.then(disarm);
  return server;
}

/** A backend outlives its postmaster until its next check, so all of them are killed. */
async function killFamily(server: EmbeddedPostgres): Promise<void> {
  await signalFamily(server.pid, 'SIGKILL');
  // Releases what our side still holds of it.
  await server.stop();
}

/** For a halt the postmaster comes first: it then starts no backend that is missing from the list. */
async function signalFamily(postmaster: number, signal: NodeJS.Signals): Promise<void> {
  const halt = signal === 'SIGKILL' ? 'SIGSTOP' : signal;
  send(postmaster, halt);
  for (const backend of await childrenOf(postmaster)) send(backend, signal);
  if (halt !== signal) send(postmaster, signal);
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Read from /proc, where there is one: `ps` is missing on a slim Debian. Elsewhere only the postmaster gets the signal. */
async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = await Promise.all(pids.map(parentOf));
  return pids.filter((_, index) => parents[index] === parent);
}

/** Field 4; the name in field 2 may contain blanks and brackets. */
async function parentOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}
