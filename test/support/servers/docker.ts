import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import type { GenericContainer, StartedTestContainer, WaitStrategy } from 'testcontainers';
import type { PostgresConnection } from '../../../src/postgres/connection.ts';
import { guard } from '../../../stack/guard.ts';
import { asVariables, brokerProperties } from '../../../stack/kafka-settings.ts';
import type { KafkaAddress, RedisAddress } from './types.ts';
import { within } from './waiting.ts';

export type InDocker<T> = T & { stop(): Promise<void> };

interface Service {
  image: string;
  /** Container port; the host's is chosen first, because Kafka must advertise it. */
  port: number;
  hostPort: number;
  ready: WaitStrategy;
  configure(container: GenericContainer): GenericContainer;
}

/**
 * Whether a Docker engine answers its socket, or why not. It takes half a second at most, so it is called before
 * testcontainers is loaded.
 */
export async function dockerAnswers(): Promise<true | string> {
  const address = engineAddress();
  if (address === undefined) return 'no Docker socket';
  return (await ping(address)) || 'no Docker engine answers';
}

export async function kafkaInDocker(hostPort: number): Promise<InDocker<KafkaAddress>> {
  const { Wait } = await testcontainers();
  const address = `${engineHost()}:${hostPort}`;
  const properties = brokerProperties('0.0.0.0:9092', address, 'localhost:9093');
  const container = await start({
    image: 'apache/kafka:4.3.1',
    port: 9092,
    hostPort,
    ready: Wait.forLogMessage(/Kafka Server started/),
    configure: (it) => it.withEnvironment({ ...asVariables(properties), KAFKA_HEAP_OPTS: '-Xms128m -Xmx512m' }),
  });
  return { ...container, brokers: [address] };
}

export async function redisInDocker(hostPort: number): Promise<InDocker<RedisAddress>> {
  const { Wait } = await testcontainers();
  const container = await start({
    image: 'redis:8',
    port: 6379,
    hostPort,
    ready: Wait.forLogMessage(/Ready to accept connections/),
    configure: (it) => it.withCommand(['redis-server', '--save', '', '--maxmemory-policy', 'noeviction']),
  });
  return { ...container, url: `redis://${engineHost()}:${hostPort}` };
}

/** In memory: tests of durability start a Postgres of their own. */
export async function postgresInDocker(
  hostPort: number,
  settings: Record<string, string>,
): Promise<InDocker<{ connection: PostgresConnection }>> {
  const { Wait } = await testcontainers();
  const password = randomBytes(12).toString('hex');
  const locale = '--encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8';
  const container = await start({
    image: 'postgres:18',
    port: 5432,
    hostPort,
    ready: Wait.forHealthCheck(),
    configure: (it) =>
      it
        .withEnvironment({ POSTGRES_PASSWORD: password, POSTGRES_INITDB_ARGS: locale })
        .withCommand(['postgres', ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])])
        .withTmpFs({ '/var/lib/postgresql': 'rw' })
        .withHealthCheck(postgresHealth),
  });
  const connection = { host: engineHost(), port: hostPort, user: 'postgres', password, database: 'postgres' };
  return { ...container, connection };
}

async function start(service: Service): Promise<{ stop(): Promise<void> }> {
  const { GenericContainer } = await testcontainers();
  await havingImage(service.image);
  const container = new GenericContainer(service.image)
    .withExposedPorts({ container: service.port, host: service.hostPort })
    .withStartupTimeout(120_000)
    .withWaitStrategy(service.ready);
  return stoppable(await service.configure(container).start());
}

/** On TCP: while it initialises, Postgres answers on its socket only. */
const postgresHealth = {
  test: ['CMD-SHELL', 'pg_isready -h 127.0.0.1'] as ['CMD-SHELL', string],
  interval: 250,
  retries: 240,
};

function stoppable(container: StartedTestContainer): { stop(): Promise<void> } {
  const disarm = guard(`docker rm -fv ${container.getId()}`);
  return {
    stop: async () => {
      await container.stop({ remove: true, removeVolumes: true, timeout: 0 });
      disarm();
    },
  };
}

/** A slow or silent registry must not take longer than a native start would. */
async function havingImage(image: string): Promise<void> {
  const { getContainerRuntimeClient, ImageName } = await testcontainers();
  const { image: images } = await getContainerRuntimeClient();
  const name = ImageName.fromString(image);
  if (await images.exists(name)) return;
  await within(120_000, `pulling ${image}`, images.pull(name));
}

/** Our own guards clean up after a crash; Ryuk, which would do it otherwise, is one more image to pull. */
function testcontainers() {
  process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';
  return import('testcontainers');
}

type EngineAddress = { socketPath: string } | { host: string; port: string };

function engineAddress(): EngineAddress | undefined {
  const named = process.env.DOCKER_HOST;
  if (named !== undefined && named !== '') {
    const { protocol, hostname, port, pathname } = new URL(named);
    return protocol === 'unix:' ? { socketPath: pathname } : { host: hostname, port };
  }
  const socketPath = usualSockets().find((path) => existsSync(path));
  return socketPath === undefined ? undefined : { socketPath };
}

const usualSockets = () => [
  '/var/run/docker.sock',
  join(process.env.XDG_RUNTIME_DIR ?? '/nowhere', 'docker.sock'),
  join(homedir(), '.docker', 'run', 'docker.sock'),
  join(homedir(), '.docker', 'desktop', 'docker.sock'),
];

/** The host on which the engine publishes ports. */
export function engineHost(): string {
  const address = engineAddress();
  return address !== undefined && 'host' in address ? address.host : '127.0.0.1';
}

function ping(address: EngineAddress): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const asked = request({ ...address, path: '/_ping', timeout: 500, agent: false }, (answer) => {
    answer.resume();
    resolve(answer.statusCode === 200);
  });
  asked.on('timeout', () => asked.destroy()).on('error', () => resolve(false));
  asked.end();
  return promise;
}
