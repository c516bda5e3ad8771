import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { reasonOf } from '../../src/errors.ts';
import { openKafkaLog } from '../../src/log/kafka.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { withTls } from '../../src/postgres/tls.ts';
import { explainPostgres } from '../../src/postgres/unreachable.ts';
import { freePort } from '../../stack/ports.ts';
import { namespacesWithData } from '../../src/postgres/namespaces.ts';
import { claim, openCore } from '../support/core.ts';
import { KEYS } from '../support/keys.ts';
import { linesOf } from '../support/observed.ts';
import { openmusic, startProcess } from '../support/processes.ts';
import { createDatabase, describeWithKafka, namespace, type TestDatabase } from '../support/servers/index.ts';

let database: TestDatabase;
let nowhere: number;
let mute: Server;
let mutePort: number;

beforeAll(async () => {
  database = await createDatabase();
  nowhere = await freePort();
  mute = createServer((socket) => socket.on('error', () => undefined).on('data', () => socket.destroy()));
  mutePort = await freePort();
  await new Promise<void>((resolve) => mute.listen(mutePort, '127.0.0.1', resolve));
});
afterAll(async () => {
  await new Promise((resolve) => mute.close(resolve));
  await database.drop();
});

function settings(more: Record<string, string> = {}): Record<string, string> {
  const { host, port, user, password, database: name } = database.connection;
  const login = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: name };
  return { NAMESPACE: namespace(), ...login, ...more };
}

/** The lines in which a process logs why it does not start; it must exit with 1. */
async function refusalOf(env: Record<string, string>): Promise<string[]> {
  const output = await startProcess({ env }).then(
    () => 'it has started',
    (error: unknown) => (error as Error).message,
  );
  expect(output).toMatch(/^main\.ts ended with 1:/);
  return output.split('\n').flatMap((line) => {
    if (!line.startsWith('{')) return [];
    const { level, msg } = JSON.parse(line) as { level: number; msg: string };
    return level === 60 ? [msg] : [];
  });
}

const where = () => `${database.connection.host}:${database.connection.port}`;

/** Why the first connection fails, as reported at start. */
async function refusalOfPostgres(
  given: Partial<PostgresConnection>,
  PGSSLMODE: 'disable' | 'require',
): Promise<string> {
  const connection = await withTls({ ...database.connection, ...given }, { PGSSLMODE });
  const failure: unknown = await migrate({ connection, namespace: namespace() }).catch((error: unknown) => error);
  return reasonOf(explainPostgres(failure, connection));
}

describe('Postgres is named in one line when', () => {
  it.each<[string, () => Partial<PostgresConnection>, () => string]>([
    [
      'nothing listens',
      () => ({ port: nowhere }),
      () => `Postgres at 127.0.0.1:${nowhere} refused the connection. Check PGHOST and PGPORT.`,
    ],
    [
      'nothing listens at any address of its name',
      () => ({ host: 'localhost', port: nowhere }),
      () => `Postgres at localhost:${nowhere} refused the connection. Check PGHOST and PGPORT.`,
    ],
    [
      'its name cannot be resolved',
      () => ({ host: 'postgres.invalid', port: 5432 }),
      () => 'Postgres at postgres.invalid:5432 cannot be found: its name is not known. Check PGHOST and PGPORT.',
    ],
    [
      'another program listens there',
      () => ({ port: mutePort }),
      () =>
        `Postgres at 127.0.0.1:${mutePort} closed the connection. Check PGHOST and PGPORT, and PGSSLMODE and PGSSLROOTCERT.`,
    ],
    [
      'the password is wrong',
      () => ({ password: 'wrong' }),
      () =>
        `Postgres at ${where()} refused the password of user ${database.connection.user}. Check PGUSER and PGPASSWORD.`,
    ],
    [
      'the database does not exist',
      () => ({ database: 'not_there' }),
      () => `Postgres at ${where()} has no database not_there. Check PGDATABASE.`,
    ],
  ])('%s', async (_, wrong, line) => {
    expect(await refusalOfPostgres(wrong(), 'disable')).toBe(line());
  });

  it('it does not speak TLS', async () => {
    const line = `Postgres at ${where()} does not speak TLS. Check PGSSLMODE and PGSSLROOTCERT.`;
    expect(await refusalOfPostgres({}, 'require')).toBe(line);
  });

  it('a server or a command starts, which then exits with 1', async () => {
    const env = settings({ PGPORT: String(nowhere) });
    const line = `Postgres at 127.0.0.1:${nowhere} refused the connection. Check PGHOST and PGPORT.`;
    expect(await refusalOf(env)).toEqual([line]);
    expect(await openmusic(['log', 'verify'], env)).toEqual({ code: 1, output: `openmusic: ${line}\n` });
  });
});

describe('Kafka is named in one line when', () => {
  const refusalOfKafka = (brokers: string[], ssl = false) =>
    openKafkaLog({ brokers, clientId: 'test', ssl, logger: () => undefined }).then(
      () => 'it is there',
      (error: unknown) => reasonOf(error),
    );

  it('nothing listens', async () => {
    const [one, other] = [`127.0.0.1:${nowhere}`, `localhost:${nowhere}`];
    const line = `Kafka at ${one}, ${other} refused the connection. Check KAFKA_BROKERS.`;
    expect(await refusalOfKafka([one, other])).toBe(line);
  });

  it('its name cannot be resolved', async () => {
    const line = 'Kafka at kafka.invalid:9092 cannot be found: its name is not known. Check KAFKA_BROKERS.';
    expect(await refusalOfKafka(['kafka.invalid:9092'])).toBe(line);
  });

  it('a server starts, which then exits with 1', async () => {
    const brokers = `127.0.0.1:${nowhere}`;
    const env = settings({ KAFKA_BROKERS: brokers, REDIS_URL: 'off', ...KEYS });
    expect(await refusalOf(env)).toEqual([`Kafka at ${brokers} refused the connection. Check KAFKA_BROKERS.`]);
  });

  describeWithKafka('it runs', ({ brokers }) => {
    it('and does not speak TLS', async () => {
      const line = `Kafka at ${brokers.join(', ')} does not speak TLS. Check KAFKA_SSL.`;
      expect(await refusalOfKafka([...brokers], true)).toBe(line);
    });
  });
});

it('an embedded log with a new name warns about the names that hold data', async () => {
  const { connection } = database;
  const core = await openCore({ connection, projecting: false });
  await core.append(core.catalog(0), claim({ stream: core.streamIn(0) }));
  const empty = await openCore({ connection, projecting: false });
  expect(await namespacesWithData(core.admin, core.namespace)).toEqual([]);
  expect(await namespacesWithData(empty.admin, empty.namespace)).toEqual([core.namespace]);
  await Promise.all([core.close(), empty.close()]);

  const directory = mkdtempSync(path.join(tmpdir(), 'openmusic-start-'));
  const env: Record<string, string> = settings({ DATA_DIR: directory });
  const process = await startProcess({ env });
  const message = `NAMESPACE ${env.NAMESPACE!} is empty, and there is data under NAMESPACE ${core.namespace}`;
  expect(linesOf(process, 'NAMESPACE ').map(({ msg }) => msg)).toEqual([message]);
  await process.end('SIGTERM');
  rmSync(directory, { recursive: true });
}, 120_000);
