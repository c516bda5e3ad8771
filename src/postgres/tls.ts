import { readFileSync } from 'node:fs';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import pg from 'pg';
import type { PostgresConnection } from './connection.ts';

/** libpq's settings for the encryption of a connection. */
export interface TlsSettings {
  readonly PGSSLMODE: 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  /** A file, or `system`. */
  readonly PGSSLROOTCERT?: string | undefined;
  readonly PGSSLCERT?: string | undefined;
  readonly PGSSLKEY?: string | undefined;
}

/** The connection with TLS by the settings. Reads the files once, now. */
export async function withTls(connection: PostgresConnection, settings: TlsSettings): Promise<PostgresConnection> {
  const encrypted = { ...connection, ssl: tlsOf(settings, connection.host) };
  return settings.PGSSLMODE === 'prefer' && !(await offersTls(encrypted)) ? { ...connection, ssl: false } : encrypted;
}

function tlsOf(settings: TlsSettings, host: string): ConnectionOptions | false {
  const { PGSSLMODE: mode, PGSSLROOTCERT: root } = settings;
  if (mode === 'disable') return false;
  const ours = { cert: fileOf(settings, 'PGSSLCERT'), key: fileOf(settings, 'PGSSLKEY') };
  const verifies = mode.startsWith('verify') || (mode === 'require' && root !== undefined);
  if (!verifies) return { ...ours, rejectUnauthorized: false };
  const ca = root === 'system' ? undefined : fileOf(settings, 'PGSSLROOTCERT');
  return {
    ...ours,
    ca,
    // pg passes no host name for an address, and Node would then check the certificate for `localhost`.
    checkServerIdentity: (_name, certificate) =>
      mode === 'verify-full' ? checkServerIdentity(host, certificate) : undefined,
  };
}

function fileOf(settings: TlsSettings, name: 'PGSSLROOTCERT' | 'PGSSLCERT' | 'PGSSLKEY'): string | undefined {
  const file = settings[name];
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new Error(`${name}: ${file} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'failed'})`, {
      cause,
    });
  }
}

/** pg's error for a server that refuses encryption. */
const NO_TLS = 'The server does not support SSL connections';

/** True also where the server cannot be reached or refuses the login. The first real connection reports that. */
async function offersTls(connection: PostgresConnection): Promise<boolean> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: 3_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch (error) {
    return !(error instanceof Error && error.message === NO_TLS);
  } finally {
    await client.end().catch(() => undefined);
  }
}
