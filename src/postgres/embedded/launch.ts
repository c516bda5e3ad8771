import { type ChildProcess, spawn } from 'node:child_process';
import { open, stat, truncate } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SERVER_ENV } from './cluster.ts';
import type { Home } from './home.ts';
import { OWNER_SETTING, readPidFile } from './postmaster.ts';
import { identityOf } from './processes.ts';
import { runAs } from './users.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A server that is ready. */
export interface Launched {
  readonly pid: number;
  readonly port: number;
  readonly exited: Promise<Exit>;
}

/** The server ended before it was ready; the message holds its last words. */
export class LaunchFailed extends Error {
  /** All that was logged meanwhile. When two start at once they write into one file, in any order. */
  readonly logged: string;

  constructor(message: string, logged: string) {
    super(message);
    this.logged = logged;
  }
}

const MAX_LOG_BYTES = 10 * 1024 * 1024;
const START_MS = 30_000;
/** After kill -9 Postgres replays its log first; it says `starting` for as long as that takes. */
const RECOVERY_MS = 300_000;

/**
 * One client per laptop: no replicas, hence little WAL. Room for a catalog of a million events, and checkpoints seldom enough that
 * whole pages are not written again and again: by the defaults an event cost the projector half as much again after a million.
 * Nothing here weakens durability.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  wal_level: 'minimal',
  max_wal_senders: '0',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_destination: 'stderr',
  logging_collector: 'off',
  jit: 'off',
  shared_buffers: '256MB',
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
};

/** Starts the server in a process group of its own, so that Ctrl-C leaves it to us, and waits until it is ready. */
export async function launch(
  home: Home,
  native: string,
  options: { port?: number; settings?: Readonly<Record<string, string>>; log: (line: string) => void },
): Promise<Launched> {
  const port = options.port ?? (await freePort());
  const settings = { ...SETTINGS, ...options.settings, [OWNER_SETTING]: (await identityOf(process.pid)) ?? '' };
  const args = ['-D', home.cluster, '-p', String(port), ...flagsOf(settings)];
  const log = await openLog(home.logFile);
  const child = spawn(join(native, 'bin', 'postgres'), args, {
    ...runAs(home.user),
    cwd: '/',
    env: SERVER_ENV,
    detached: true,
    stdio: ['ignore', log.file.fd, log.file.fd],
  });
  await log.file.close();
  const server = { port, ...(await watched(child)) };
  await untilReady(server, home, log.size, options.log);
  return server;
}

const flagsOf = (settings: Record<string, string>): string[] =>
  Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);

interface Watched {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** How it ended, once it has. */
  readonly end: () => string | undefined;
}

async function watched(child: ChildProcess): Promise<Watched> {
  let end: string | undefined;
  const exited = new Promise<Exit>((resolve) => {
    child.once('error', (error) => {
      end = error.message;
      resolve({ code: null, signal: null });
    });
    child.once('exit', (code, signal) => {
      end = signal ?? `exit ${code ?? '?'}`;
      resolve({ code, signal });
    });
  });
  if (child.pid === undefined) {
    await exited;
    throw new Error(`Postgres cannot be run: ${end ?? ''}`);
  }
  return { pid: child.pid, exited, end: () => end };
}

async function untilReady(server: Watched, home: Home, logStart: number, log: (line: string) => void): Promise<void> {
  const begin = Date.now();
  let spoke = begin;
  let limit = START_MS;
  while (Date.now() - begin < limit) {
    await delay(4);
    if (server.end()) throw await failureOf(server, home.logFile, logStart);
    const file = await readPidFile(home.cluster);
    if (file?.pid !== server.pid) continue;
    if (file.isReady) return;
    limit = RECOVERY_MS;
    if (Date.now() - spoke > 10_000) {
      spoke = Date.now();
      log(`Postgres (pid ${server.pid}) is still recovering, see ${home.logFile}`);
    }
  }
  process.kill(server.pid, 'SIGQUIT');
  await server.exited;
  throw new Error(`Postgres was not ready after ${Math.round((Date.now() - begin) / 1000)} s, see ${home.logFile}`);
}

async function failureOf(server: Watched, logFile: string, start: number): Promise<LaunchFailed> {
  const logged = (await readFrom(logFile, start)).trim();
  const words = logged.split('\n').slice(-3).join(' | ') || 'none';
  const message = `Postgres does not start (${server.end() ?? ''}), its last words in ${logFile}: ${words}`;
  return new LaunchFailed(message, logged);
}

/** Appending, for the server may write on when we are gone. */
async function openLog(path: string) {
  const file = await open(path, 'a', 0o600);
  const { size } = await stat(path);
  if (size <= MAX_LOG_BYTES) return { file, size };
  await truncate(path);
  return { file, size: 0 };
}

async function readFrom(path: string, start: number): Promise<string> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const { buffer } = await file.read({ buffer: Buffer.alloc(Math.max(0, size - start)), position: start });
    return buffer.toString();
  } finally {
    await file.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
