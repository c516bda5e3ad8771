import path from 'node:path';
import { type Config, loadConfig } from '../src/config.ts';
import { KEY_NAMES, type KeyName, keysOf } from '../src/keys.ts';
import type { PostgresConnection } from '../src/postgres/connection.ts';
import { freePort, type WantedPort } from './ports.ts';

/** The ports of a stack, each by the setting that chooses it. */
const PORTS = ['KAFKA_PORT', 'PGPORT', 'REDIS_PORT', 'PORT'] as const;

export interface StackSettings {
  readonly directory: string;
  readonly logs: string;
  readonly ports: Readonly<Record<(typeof PORTS)[number], number>>;
  readonly wanted: readonly WantedPort[];
  /** Base of the API. */
  readonly url: string;
  /** Base of another role's probes. */
  readonly freeUrl: () => Promise<string>;
  /** The keys that the user has set. */
  readonly keys: Partial<Record<KeyName, string>>;
}

/** Empties what an environment or an `.env` says of other servers, because the stack uses its own. */
const OWN_SERVERS: Readonly<Record<string, string>> = {
  KAFKA_SASL_PASSWORD_FILE: '',
  PGPASSWORD_FILE: '',
  REDIS_URL_FILE: '',
  REDIS_PASSWORD_FILE: '',
  PGSSLMODE: '',
  PGSSLROOTCERT: '',
  PGSSLCERT: '',
  PGSSLKEY: '',
  KAFKA_BROKERS: '',
  KAFKA_SSL: '',
  KAFKA_SASL_MECHANISM: '',
  KAFKA_SASL_USERNAME: '',
  KAFKA_SASL_PASSWORD: '',
  PGHOST: '',
  PGUSER: '',
  PGPASSWORD: '',
  PGDATABASE: '',
  REDIS_URL: '',
  REDIS_SERVER: '',
  REDIS_PASSWORD: '',
  REDIS_TLS: '',
};

/** Throws as every process of OpenMusic does when a setting is wrong. */
export async function settingsOf(environment: NodeJS.ProcessEnv): Promise<StackSettings> {
  const config = loadConfig({ ...environment, ...OWN_SERVERS });
  const directory = path.resolve(config.DATA_DIR, 'stack');
  const ports = await chosenPorts(config);
  return {
    directory,
    logs: path.join(directory, 'logs'),
    ports,
    keys: Object.fromEntries(KEY_NAMES.map((name) => [name, config[name]])),
    wanted: PORTS.map((setting) => ({
      setting,
      port: ports[setting],
      host: setting === 'PORT' ? config.HOST : '127.0.0.1',
    })),
    url: urlOf(config, ports.PORT),
    freeUrl: async () => urlOf(config, await freePort()),
  };
}

/** 0 means a free port. Here it must be known in advance, because other processes are given it. */
async function chosenPorts(config: Config): Promise<StackSettings['ports']> {
  const chosen = PORTS.map(async (name) => [name, config[name] || (await freePort())] as const);
  return Object.fromEntries(await Promise.all(chosen)) as StackSettings['ports'];
}

/** The URL as a client on this machine uses it. */
function urlOf({ HOST: host }: Config, port: number): string {
  if (['0.0.0.0', '::'].includes(host)) return `http://localhost:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

export interface Servers {
  readonly brokers: readonly string[];
  readonly connection: PostgresConnection;
  readonly redis: string | undefined;
}

/** The environment of every role, and of `openmusic` commands beside them. */
export async function environmentOfRoles(
  environment: NodeJS.ProcessEnv,
  { directory, ports, keys }: StackSettings,
  { brokers, connection, redis }: Servers,
): Promise<NodeJS.ProcessEnv> {
  return {
    ...environment,
    ...OWN_SERVERS,
    KAFKA_BROKERS: brokers.join(),
    REDIS_URL: redis ?? 'off',
    PGHOST: connection.host,
    PGPORT: String(connection.port),
    PGDATABASE: connection.database,
    PGUSER: connection.user,
    PGPASSWORD: connection.password,
    DATA_DIR: directory,
    PORT: String(ports.PORT),
    ...(await keysOf(keys, directory)),
    ...Object.fromEntries(KEY_NAMES.map((name) => [`${name}_FILE`, ''])), // the keys themselves are passed on
  };
}
