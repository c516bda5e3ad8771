import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Lifecycle, type Stoppable } from '../src/lifecycle.ts';
import type { PostgresConnection } from '../src/postgres/connection.ts';
import { openMusicAnswers } from '../stack/answers.ts';
import { guard } from '../stack/guard.ts';
import { prepareKafka } from '../stack/kafka-classes.ts';
import { startKafka } from '../stack/kafka.ts';
import { freePort } from '../stack/ports.ts';
import { startPostgres } from '../stack/postgres.ts';
import { startRedis } from '../stack/redis.ts';
import { until } from '../stack/waiting.ts';
import type { LogPlace } from './log.ts';
import { type Child, startChild } from './processes.ts';
import type { Shape } from './shapes.ts';
import { KEYS } from '../test/support/keys.ts';

/** The servers that a shape needs, before any of our processes runs. */
export interface Platform extends Stoppable {
  readonly connection: PostgresConnection;
  readonly log: LogPlace;
  /** Address of Redis, if the shape has one. */
  readonly redis?: string;
  /** Starts a process with these roles. */
  launch(roles: string, node?: readonly string[]): Promise<Server>;
  /** The same, and waits until it is ready. */
  start(roles: string, node?: readonly string[]): Promise<Server>;
}

/** One of our processes, which serves the API or probes. */
export interface Server extends Child {
  readonly roles: string;
  readonly url: string;
}

export interface Stack extends Platform {
  /** Base of the API. */
  readonly url: string;
  readonly servers: readonly Server[];
}

/** The product on data of its own, which is deleted when it stops. */
export async function startStack(shape: Shape, node: readonly string[] = []): Promise<Stack> {
  const platform = await startPlatform(shape);
  try {
    const servers: Server[] = [];
    for (const roles of shape.processes) servers.push(await platform.start(roles, node));
    return { ...platform, url: servers.at(-1)?.url ?? '', servers };
  } catch (error) {
    await platform.stop();
    throw error;
  }
}

export async function startPlatform(shape: Shape): Promise<Platform> {
  const lifecycle = new Lifecycle((line) => void process.stderr.write(`${line}\n`));
  const directory = lifecycle.add('directory', await temporaryDirectory()).path;
  try {
    const place = async (name: string) => ({ port: await freePort(), log: path.join(directory, `${name}.log`) });
    const postgres = await startPostgres({ directory, ...(await place('postgres-output')) });
    const { connection } = lifecycle.add('Postgres', postgres);
    const inPostgres = { settings: {}, log: { connection }, redis: undefined };
    const { settings, log, redis } = shape.isDistributed ? await startBroker(shape, directory, lifecycle) : inPostgres;
    const environment = { ...common(directory, connection), ...settings, ...shape.settings };
    if (shape.isDistributed) await initLog(directory, environment);
    const begin = async (roles: string, node: readonly string[] = []) =>
      lifecycle.add(roles, await launch(roles, node, directory, environment));
    return {
      connection,
      log,
      redis,
      launch: begin,
      async start(roles, node) {
        const server = await begin(roles, node);
        await untilReady(server);
        return server;
      },
      stop: () => lifecycle.stop(60_000),
    };
  } catch (error) {
    await lifecycle.stop();
    throw error;
  }
}

/** The user that runs Postgres for root must be able to pass through it. */
async function temporaryDirectory(): Promise<Stoppable & { path: string }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'openmusic-bench-'));
  await chmod(directory, 0o755);
  const disarm = guard(`sleep 3; rm -rf '${directory}'`);
  return {
    path: directory,
    async stop() {
      await rm(directory, { recursive: true, force: true });
      disarm();
    },
  };
}

const common = (directory: string, { host, port, user, password, database }: PostgresConnection) => ({
  LOG_LEVEL: 'warn',
  HOST: '127.0.0.1',
  DATA_DIR: directory,
  DUMMY_JOBS: 'on',
  DUMMY_SECONDS: '600',
  PGHOST: host,
  PGPORT: String(port),
  PGUSER: user,
  PGPASSWORD: password,
  PGDATABASE: database,
  ...KEYS,
});

/** Kafka and Redis with the options of `npm run stack`. */
async function startBroker({ settings }: Shape, directory: string, lifecycle: Lifecycle) {
  const place = async (name: string) => ({
    directory: path.join(directory, name),
    port: await freePort(),
    log: path.join(directory, `${name}.log`),
  });
  const installation = await prepareKafka();
  const kafka = lifecycle.add('Kafka', await startKafka({ installation, ...(await place('kafka')) }));
  const redis = lifecycle.add('Redis', await startRedis(await place('redis')));
  const flush = settings.KAFKA_FLUSH === 'off' ? ('off' as const) : ('on' as const);
  return {
    settings: { KAFKA_BROKERS: kafka.address, REDIS_URL: redis.address },
    log: { brokers: [kafka.address], flush },
    redis: redis.address,
  };
}

async function initLog(cwd: string, env: Record<string, string>): Promise<void> {
  const init = startChild('src/cli/openmusic.ts', { args: ['log', 'init'], cwd, env });
  const code = await init.ended;
  if (code !== 0) throw new Error(`log init ended with ${code}:\n${init.output()}`);
}

const READY_WITHIN_MS = 120_000;

async function launch(
  roles: string,
  node: readonly string[],
  cwd: string,
  settings: Record<string, string>,
): Promise<Server> {
  const port = String(await freePort());
  const env = { ...settings, ROLES: roles, PORT: port, HEALTH_PORT: port };
  return { ...startChild('src/main.ts', { node, cwd, env }), roles, url: `http://127.0.0.1:${port}` };
}

async function untilReady({ url, ended, output }: Server): Promise<void> {
  const over = new AbortController();
  void ended.then(() => over.abort(new Error(`main.ts ended:\n${output()}`)));
  await until(
    () => openMusicAnswers(url),
    READY_WITHIN_MS,
    () => `main.ts is not ready:\n${output()}`,
    over.signal,
  );
}
