import { type ChildProcess, spawn } from 'node:child_process';
import { open, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SERVER_ENV } from './cluster.ts';
import { freePort } from './free-port.ts';
import type { Home } from './home.ts';
import { OWNER_SETTING, readPidFile } from './postmaster.ts';
import { identityOf, signal } from './processes.ts';
import { runAs } from './users.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A server that is ready. */
export interface Launched extends Watched {
  readonly port: number;
  /** As returned by `identityOf`; undefined when it has ended at once. */
  readonly identity: string | undefined;
  /** An error with the last lines of its log. */
  failure(what: string): Promise<LaunchFailed>;
}

/** The server cannot be used. The message has the last lines of its log. */
export class LaunchFailed extends Error {
  /** The whole log of this start. Two servers that start at the same time write into one file, in any order. */
  readonly logged: string;

  constructor(message: string, logged: string) {
    super(message);
    this.logged = logged;
  }
}

const MAX_LOG_BYTES = 10 * 1024 * 1024;
/** On a busy disk a healthy server can take half a minute. */
export const START_MS = 60_000;
/** After kill -9 Postgres replays its log first. Its status is `starting` during that time. */
const RECOVERY_MS = 300_000;

/**
 * For one machine without replicas, so WAL is minimal. Memory for a catalog of a million events, and rare checkpoints, so that full
 * pages are written less often: with the defaults an event cost the projector half as much again after a million. No setting weakens
 * durability.
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

export interface LaunchOptions {
  readonly port?: number;
  readonly settings?: Readonly<Record<string, string>>;
  readonly startMs?: number;
  readonly log: (line: string) => void;
}

/** Starts the server in a process group of its own, so that Ctrl-C does not reach it, and waits until it is ready. */
export async function launch(home: Home, native: string, options: LaunchOptions): Promise<Launched> {
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
  const watch = await watched(child);
  const server: Launched = {
    ...watch,
    port,
    identity: await identityOf(watch.pid),
    failure: (what) => failureOf(what, home.logFile, log.size),
  };
  await untilReady(server, home, options);
  return server;
}

const flagsOf = (settings: Record<string, string>): string[] =>
  Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);

interface Watched {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** Its exit code or signal, once it has ended. */
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

/** Reading the pid file can take long on a busy disk, so the server's state is checked before the time limit. */
async function untilReady(server: Launched, home: Home, { startMs = START_MS, log }: LaunchOptions): Promise<void> {
  const begin = performance.now();
  let spoke = begin;
  for (let limit = startMs; ;) {
    await delay(4);
    const file = await readPidFile(home.cluster);
    const end = server.end();
    if (end !== undefined) throw await server.failure(`Postgres does not start (${end})`);
    const isStarting = file?.pid === server.pid;
    if (isStarting && file.isReady) return;
    if (isStarting) limit = RECOVERY_MS;
    const now = performance.now();
    if (now - begin > limit) return await giveUp(server, now - begin);
    if (isStarting && now - spoke > 10_000) {
      spoke = now;
      log(`Postgres (pid ${server.pid}) is still recovering, see ${home.logFile}`);
    }
  }
}

async function giveUp(server: Launched, afterMs: number): Promise<never> {
  signal(server.pid, 'SIGQUIT');
  await server.exited;
  throw await server.failure(`Postgres was not ready after ${Math.round(afterMs / 1000)} s`);
}

async function failureOf(what: string, logFile: string, start: number): Promise<LaunchFailed> {
  const logged = (await readFrom(logFile, start)).trim();
  const words = logged.split('\n').slice(-3).join(' | ') || 'none';
  return new LaunchFailed(`${what}, the last lines of ${logFile}: ${words}`, logged);
}

/** Opened for appending, because the server may still write after this process has ended. */
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
