import { createHash } from 'node:crypto';
import pg from 'pg';
import type { Stoppable } from '../lifecycle.ts';
import { tryLockKey } from './advisory-lock.ts';
import type { PostgresConnection } from './connection.ts';

/** `lost` resolves when the connection that holds the lock breaks before `stop`. */
export interface ServerLock extends Stoppable {
  readonly lost: Promise<Error>;
}

/**
 * Takes the lock `name` and holds it while its own connection is open, so that kill -9 releases it and SIGSTOP does not. Undefined
 * when another session holds it. Locks of two databases of one server are independent.
 */
export async function takeServerLock(connection: PostgresConnection, name: string): Promise<ServerLock | undefined> {
  const client = new pg.Client({
    ...connection,
    application_name: `openmusic lock ${name}`,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  });
  const lock = lockOf(client);
  try {
    await client.connect();
    if (await isGranted(client, name)) return lock;
  } catch (error) {
    await lock.stop();
    throw error;
  }
  await lock.stop();
  return undefined;
}

function lockOf(client: pg.Client): ServerLock {
  const lost = Promise.withResolvers<Error>();
  let released = false;
  const lose = (error: Error) => {
    if (!released) lost.resolve(error);
  };
  client.on('error', lose);
  client.on('end', () => lose(new Error('the connection that holds the lock has ended')));
  const stop = async () => {
    released = true;
    await client.end().catch(() => undefined);
  };
  return { lost: lost.promise, stop };
}

/** The settings make the server notice a lost host within half a minute, and never close the session for being idle. */
async function isGranted(client: pg.Client, name: string): Promise<boolean> {
  const { rows } = await client.query<{ granted: boolean }>(
    `SELECT ${tryLockKey('$1::bigint')} AS granted,
            set_config('idle_session_timeout', '0', false),
            set_config('tcp_keepalives_idle', '10', false),
            set_config('tcp_keepalives_interval', '5', false),
            set_config('tcp_keepalives_count', '3', false)`,
    [keyOf(name)],
  );
  return rows[0]?.granted ?? false;
}

const keyOf = (name: string): string => createHash('sha256').update(name).digest().readBigInt64BE().toString();
