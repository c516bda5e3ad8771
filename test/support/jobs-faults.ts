import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { freePort } from './ports.ts';
import { type Client, createClient } from './client.ts';
import type { Settings } from './distributed.ts';
import { KEYS } from './keys.ts';
import { answers } from './observed.ts';
import { newPerson } from './people.ts';
import { openmusic, type OpenMusicProcess, startProcess } from './processes.ts';
import { createDatabase, namespace } from './servers/index.ts';

/** OpenMusic as one process, on data that outlive it. */
export interface JobsApp {
  readonly url: string;
  readonly dataDir: string;
  readonly env: Settings;
  readonly connection: PostgresConnection;
  /** Sends requests as an admin. */
  readonly admin: Client;
  /** The current or last process. */
  process(): OpenMusicProcess;
  /**
   * Sends SIGKILL, unless it is dead already, and starts another on the same data; these settings are its own, `FAULT`
   * among them.
   */
  replace(more?: Settings): Promise<void>;
  /** The same, unless the running process has these settings. */
  runWith(own: Settings): Promise<void>;
  stop(): Promise<void>;
}

/** Production times, scaled to what a test can wait for; a lease is long enough for a busy machine. */
export const SHORT_TIMES: Settings = {
  JOB_LEASE_SECONDS: '10',
  JOB_BACKOFF_SECONDS: '0.05',
  JOB_BACKOFF_MOST_SECONDS: '0.2',
  BREAKER_OPEN_SECONDS: '0.5',
  RATE_JOBS: 'off',
};

/** Settings of a process that is going to die with the jobs it holds. */
export const SHORT_LEASE: Settings = { JOB_LEASE_SECONDS: '2' };

const ENTRY = 'test/support/faulty-main.ts';

export interface JobsAppOptions {
  readonly env?: Settings;
  /** The location of its log, in place of its Postgres. */
  readonly brokers?: readonly string[];
  /** Prepares its file store. */
  readonly prepare?: (dataDir: string) => Promise<void>;
}

export async function startJobsApp({ env: more, brokers, prepare }: JobsAppOptions = {}): Promise<JobsApp> {
  const [database, port] = [await createDatabase(), await freePort()];
  const dataDir = await mkdtemp(path.join(tmpdir(), 'openmusic-jobs-'));
  await prepare?.(dataDir);
  const { host, user, password, database: name } = database.connection;
  const login = { PGHOST: host, PGUSER: user, PGPASSWORD: password, PGDATABASE: name };
  const PGPORT = String(database.connection.port);
  const env = { DATA_DIR: dataDir, PARTITIONS: '2', ...login, PGPORT, ...SHORT_TIMES, ...onKafka(brokers), ...more };
  const start = (own: Settings = {}) => startProcess({ env: { ...env, ...own }, port, entry: ENTRY });
  if (brokers) await runOrThrow(['log', 'init'], env);
  let running = await start();
  let settings: Settings = {};
  const replace = async (own: Settings = {}) => {
    await running.end('SIGKILL');
    running = await start(own);
    settings = own;
  };
  const stop = async () => {
    await running.end('SIGKILL');
    await database.drop();
    await rm(dataDir, { recursive: true });
  };
  try {
    return {
      url: running.url,
      dataDir,
      env,
      connection: database.connection,
      replace,
      stop,
      admin: await newAdmin(running.url, env),
      process: () => running,
      runWith: async (own) => {
        if (!(await answers(running)) || !isDeepStrictEqual(own, settings)) await replace(own);
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const onKafka = (brokers: readonly string[] | undefined): Settings =>
  brokers ? { NAMESPACE: namespace(), KAFKA_BROKERS: brokers.join(), REDIS_URL: 'off', ...KEYS } : {};

/** Runs `openmusic …`, and throws its output when it fails. */
export async function runOrThrow(args: readonly string[], env: Settings): Promise<string> {
  const { code, output } = await openmusic(args, env);
  if (code !== 0) throw new Error(`openmusic ${args.join(' ')} ended with ${code}: ${output}`);
  return output;
}

/** Sends requests as a new admin. */
export async function newAdmin(url: string, env: Settings): Promise<Client> {
  const { username, password } = await newPerson(url);
  await runOrThrow(['accounts', 'grant-admin', username], env);
  const { body } = await createClient(url).post('/authentications', { username, password });
  return createClient(url, body?.data?.accessToken);
}
