import { randomInt } from 'node:crypto';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { openmusic, type OpenMusicProcess, startProcess } from './processes.ts';
import { createDatabase, demanded, describeWithKafka, describeWithRedis, namespace } from './servers/index.ts';
import { KEYS } from './keys.ts';

export type Settings = Readonly<Record<string, string>>;

export interface DistributedOptions {
  readonly apis?: number;
  readonly projectors?: number;
  /** More settings of every process; they override the defaults. */
  readonly env?: Settings;
  /** Other brokers than the shared ones, for tests that break them. */
  readonly brokers?: readonly string[];
  /** Another Postgres in place of a new database on the shared one. */
  readonly connection?: PostgresConnection;
}

/** OpenMusic as in compose and production: a process for every role, on Kafka, Postgres and Redis. */
export interface Distributed {
  readonly namespace: string;
  readonly connection: PostgresConnection;
  /** Settings of every process. */
  readonly env: Settings;
  /** All processes that were started, with the dead ones. */
  readonly apis: readonly OpenMusicProcess[];
  readonly projectors: readonly OpenMusicProcess[];
  /** Exporters, workers and schedulers. */
  readonly workers: readonly OpenMusicProcess[];
  /** Resolves when it is ready. `entry` runs in place of `src/main.ts`. */
  startApi(more?: Settings, entry?: string): Promise<OpenMusicProcess>;
  startProjector(more?: Settings, entry?: string): Promise<OpenMusicProcess>;
  /** `roles`: one, or several separated by commas. */
  startWorker(roles: string, more?: Settings, entry?: string): Promise<OpenMusicProcess>;
  /** Runs `openmusic …` to its end. */
  cli(...args: readonly string[]): Promise<{ code: number | null; output: string }>;
  /** Kills running processes, and drops the database. */
  stop(): Promise<void>;
}

/** Two partitions, so that one can be broken while the other works. */
const PARTITIONS = 2;

/** A log made by `log init`, and the requested processes, all of them ready. */
export async function startDistributed(options: DistributedOptions = {}): Promise<Distributed> {
  const brokers = options.brokers ?? (await demanded('kafka')).brokers;
  const { url } = await demanded('redis');
  const database = options.connection ? kept(options.connection) : await createDatabase();
  const { connection } = database;
  const env = { ...settingsOf(connection, brokers, url), ...options.env };
  const apis: OpenMusicProcess[] = [];
  const projectors: OpenMusicProcess[] = [];
  const workers: OpenMusicProcess[] = [];
  const startIn =
    (into: OpenMusicProcess[], role: string) =>
    async (more: Settings = {}, entry?: string) => {
      const started = await startProcess({ env: { ...env, ROLES: role, ...more }, entry });
      into.push(started);
      return started;
    };
  const distributed: Distributed = {
    namespace: env.NAMESPACE,
    connection,
    env,
    apis,
    projectors,
    workers,
    startApi: startIn(apis, 'api'),
    startProjector: startIn(projectors, 'projector'),
    startWorker: (roles, more, entry) => startIn(workers, roles)(more, entry),
    cli: (...args) => openmusic(args, env),
    async stop() {
      await Promise.all([...apis, ...projectors, ...workers].map((each) => each.end('SIGKILL')));
      await database.drop();
    },
  };
  await begin(distributed, options).catch(async (error: unknown) => {
    await distributed.stop();
    throw error;
  });
  return distributed;
}

/** A database that outlives the processes. */
const kept = (connection: PostgresConnection) => ({ connection, drop: () => Promise.resolve() });

async function begin(distributed: Distributed, { apis = 1, projectors = 1 }: DistributedOptions): Promise<void> {
  const { code, output } = await distributed.cli('log', 'init');
  if (code !== 0) throw new Error(`log init ended with ${code}: ${output}`);
  // An API is ready once there is a generation to read, which a projector makes.
  const projecting = Promise.all(Array.from({ length: projectors }, () => distributed.startProjector()));
  await Promise.all([projecting, ...Array.from({ length: apis }, () => distributed.startApi())]);
}

function settingsOf(
  { host, port, user, password, database }: PostgresConnection,
  brokers: readonly string[],
  redisUrl: string,
) {
  return {
    NAMESPACE: namespace(),
    PARTITIONS: String(PARTITIONS),
    ...KEYS,
    KAFKA_BROKERS: brokers.join(),
    REDIS_URL: redisUrl,
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: database,
  };
}

/** Skipped, with the reason in its name, where Kafka or Redis is missing. */
export function describeDistributed(name: string, suite: () => void): void {
  describeWithKafka(name, () => describeWithRedis('as processes on Kafka, Postgres and Redis', suite));
}

/** The seed of a randomised test: the SEED of the environment, or a new one for each run. */
export const seedOfRun = (): number => Number(process.env.SEED ?? randomInt(2 ** 31));
