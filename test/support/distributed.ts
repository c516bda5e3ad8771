import { randomInt } from 'node:crypto';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { openmusic, type OpenMusicProcess, startProcess } from './processes.ts';
import { createDatabase, demanded, describeWithKafka, describeWithRedis, namespace } from './servers/index.ts';
import { KEYS } from './keys.ts';

export type Settings = Readonly<Record<string, string>>;

export interface DistributedOptions {
  readonly apis?: number;
  readonly projectors?: number;
  /** More settings of every process; they win. */
  readonly env?: Settings;
  /** Other brokers than the shared ones, to be treated badly. */
  readonly brokers?: readonly string[];
  /** Another Postgres than a database of one's own on the shared one. */
  readonly connection?: PostgresConnection;
}

/** OpenMusic as compose and production run it: a process for every role, on Kafka, Postgres and Redis. */
export interface Distributed {
  readonly namespace: string;
  readonly connection: PostgresConnection;
  /** Settings of every process. */
  readonly env: Settings;
  /** All that were started, dead ones included. */
  readonly apis: readonly OpenMusicProcess[];
  readonly projectors: readonly OpenMusicProcess[];
  /** Exporters, workers and schedulers. */
  readonly workers: readonly OpenMusicProcess[];
  /** Resolves when it is ready. `entry` is what is run instead of `src/main.ts`. */
  startApi(more?: Settings, entry?: string): Promise<OpenMusicProcess>;
  startProjector(more?: Settings, entry?: string): Promise<OpenMusicProcess>;
  /** `roles`: one, or several joined by commas. */
  startWorker(roles: string, more?: Settings, entry?: string): Promise<OpenMusicProcess>;
  /** Runs `openmusic …` to its end. */
  cli(...args: readonly string[]): Promise<{ code: number | null; output: string }>;
  /** Kills what still runs, and drops the database. */
  stop(): Promise<void>;
}

/** Two partitions, so that one can be broken and another be whole. */
const PARTITIONS = 2;

/** A log made by `log init`, and as many processes as asked for, all of them ready. */
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
  // An API is ready once there is a build to read, which a projector makes.
  const feeding = Promise.all(Array.from({ length: projectors }, () => distributed.startProjector()));
  await Promise.all([feeding, ...Array.from({ length: apis }, () => distributed.startApi())]);
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

/** What a test of chance begins with: the SEED of the environment, or another one at each run. */
export const seedOfRun = (): number => Number(process.env.SEED ?? randomInt(2 ** 31));
