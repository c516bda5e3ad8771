import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { type TlsSettings, withTls } from '../../src/postgres/tls.ts';
import { explainPostgres } from '../../src/postgres/unreachable.ts';
import { createClient } from '../support/client.ts';
import { eventually } from '../support/observed.ts';
import { openmusic, startProcess } from '../support/processes.ts';
import { describeWithPrograms, namespace } from '../support/servers/index.ts';
import { type NativePostgres, startNativePostgres } from '../support/servers/postgres.ts';

let directory: string;
let server: NativePostgres;

const file = (name: string) => path.join(directory, name);
const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });

/** A key and a self-signed certificate; `days` may be in the past. */
function selfSigned(name: string, { subject, names }: { subject: string; names?: string }): void {
  const key = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${subject}`];
  const out = ['-keyout', file(`${name}.key`), '-out', file(`${name}.crt`)];
  openssl(...key, ...out, ...(names === undefined ? [] : ['-addext', `subjectAltName=${names}`]));
}

/** Postgres accepts a key only of its own user, who owns the files of the cluster. */
async function startWithTls(): Promise<NativePostgres> {
  const dir = file('data');
  await (await startNativePostgres({ dir })).stop();
  const cluster = path.join(dir, 'postgres');
  const { uid, gid } = statSync(cluster);
  for (const name of ['server.crt', 'server.key', 'client.crt']) {
    copyFileSync(file(name), path.join(cluster, name));
    chownSync(path.join(cluster, name), uid, gid);
    chmodSync(path.join(cluster, name), 0o600);
  }
  return startNativePostgres({ dir, settings: { ssl: 'on', ssl_ca_file: 'client.crt' } });
}

interface Session {
  readonly encrypted: boolean;
  /** The subject of our client certificate, where we have sent one. */
  readonly client: string | null;
}

async function connect(settings: TlsSettings, more: Partial<PostgresConnection> = {}): Promise<Session> {
  const connection = await withTls({ ...server.connection, host: 'localhost', ...more }, settings);
  const client = new pg.Client(connection);
  try {
    await client.connect();
    const { rows } = await client.query<Session>(
      'SELECT ssl AS encrypted, client_dn AS client FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    return rows[0]!;
  } catch (error) {
    throw explainPostgres(error, connection);
  } finally {
    await client.end();
  }
}

const plain = { encrypted: false, client: null };
const encrypted = { encrypted: true, client: null };

describeWithPrograms(['openssl'], 'a Postgres that offers TLS', () => {
  beforeAll(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'openmusic-tls-'));
    chmodSync(directory, 0o755);
    selfSigned('server', { subject: 'postgres.example', names: 'DNS:localhost' });
    selfSigned('other', { subject: 'other' });
    selfSigned('client', { subject: 'openmusic' });
    server = await startWithTls();
  }, 120_000);
  afterAll(async () => {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it.each<[string, TlsSettings, Session]>([
    ['disable does not encrypt', { PGSSLMODE: 'disable' }, plain],
    ['prefer encrypts', { PGSSLMODE: 'prefer' }, encrypted],
    ['require encrypts, and accepts any certificate', { PGSSLMODE: 'require' }, encrypted],
  ])('%s', async (_, settings, session) => {
    expect(await connect(settings)).toEqual(session);
  });

  it.each(['require', 'verify-ca', 'verify-full'] as const)(
    '%s accepts a certificate of PGSSLROOTCERT',
    async (mode) => {
      expect(await connect({ PGSSLMODE: mode, PGSSLROOTCERT: file('server.crt') })).toEqual(encrypted);
    },
  );

  it.each(['require', 'verify-ca', 'verify-full'] as const)('%s rejects one of another authority', async (mode) => {
    await expect(connect({ PGSSLMODE: mode, PGSSLROOTCERT: file('other.crt') })).rejects.toThrow(
      /^Postgres at localhost:\d+ has a certificate that is not accepted: .*\. Check PGSSLMODE and PGSSLROOTCERT\.$/,
    );
  });

  it('verify-full rejects a certificate without the authorities of PGSSLROOTCERT=system', async () => {
    await expect(connect({ PGSSLMODE: 'verify-full', PGSSLROOTCERT: 'system' })).rejects.toThrow(/is not accepted/);
  });

  it('only verify-full rejects a certificate for another host, also where the host is an address', async () => {
    const PGSSLROOTCERT = file('server.crt');
    const host = { host: '127.0.0.1' };
    expect(await connect({ PGSSLMODE: 'verify-ca', PGSSLROOTCERT }, host)).toEqual(encrypted);
    await expect(connect({ PGSSLMODE: 'verify-full', PGSSLROOTCERT }, host)).rejects.toThrow(/127\.0\.0\.1 is not in/);
  });

  it('receives our certificate', async () => {
    const mine = { PGSSLCERT: file('client.crt'), PGSSLKEY: file('client.key') };
    expect(await connect({ PGSSLMODE: 'require', ...mine })).toEqual({ encrypted: true, client: '/CN=openmusic' });
  });

  it('is not contacted before the files are read', async () => {
    await expect(connect({ PGSSLMODE: 'verify-ca', PGSSLROOTCERT: '/not/there' })).rejects.toThrow(
      'PGSSLROOTCERT: /not/there cannot be read (ENOENT)',
    );
  });

  it('serves processes and commands with only encrypted connections', async () => {
    const { port, user, password, database } = server.connection;
    const login = {
      PGHOST: 'localhost',
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: password,
      PGDATABASE: database,
    };
    const env = {
      ...login,
      NAMESPACE: namespace(),
      PGSSLMODE: 'verify-full',
      PGSSLROOTCERT: file('server.crt'),
      DATA_DIR: file('app'),
    };
    const app = await startProcess({ env });
    const { get, post } = createClient(app.url);
    expect((await post('/albums', { name: 'Parachutes', year: 2000 })).status).toBe(201);
    expect(await openmusic(['projections', 'rebuild'], env)).toMatchObject({ code: 0 });
    const observer = new pg.Client(server.connection);
    await observer.connect();
    const wanted = ['openmusic', 'openmusic log', 'openmusic projector', 'openmusic reads'];
    // A read leaves a connection open, unless the API switches to the rebuilt read models at that moment.
    await eventually('every kind of connection is open', async () => {
      expect((await get('/songs')).status).toBe(200);
      const { rows } = await observer.query<{ name: string; ssl: boolean }>(
        `SELECT application_name AS name, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
          WHERE application_name LIKE 'openmusic%' AND application_name NOT LIKE '%lock embedded-postgres'`,
      );
      expect(rows.filter(({ ssl }) => !ssl)).toEqual([]);
      return wanted.every((each) => rows.some(({ name }) => name === each));
    });
    await observer.end();
    await app.end('SIGTERM');
  }, 120_000);
});

it('a Postgres without TLS is used unencrypted by prefer, and rejected by require', async () => {
  const without = await startNativePostgres();
  const { port, password } = without.connection;
  expect(await connect({ PGSSLMODE: 'prefer' }, { port, password })).toEqual(plain);
  await expect(connect({ PGSSLMODE: 'require' }, { port, password })).rejects.toThrow(/does not speak TLS/);
  await without.stop();
}, 60_000);
