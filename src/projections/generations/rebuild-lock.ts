import { hostname } from 'node:os';
import { withAdvisoryLock } from '../../postgres/advisory-lock.ts';
import type { Client } from '../../postgres/pool.ts';

/** Another process makes a generation in this namespace. */
export class RebuildRunning extends Error {
  constructor(holder: string) {
    super(`A rebuild is running: ${holder}. Wait until it has ended, or end it.`);
    this.name = 'RebuildRunning';
  }
}

export interface RebuildLockOptions {
  /** False: throws RebuildRunning while another process holds the lock. */
  readonly waits: boolean;
  readonly signal: AbortSignal;
}

const POLL_EVERY_MS = 100;

/** Lets one process at a time make a generation in a namespace. The lock ends with the connection of the work. */
export async function withRebuildLock<T>(
  client: Client,
  namespace: string,
  { waits, signal }: RebuildLockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const lock = `openmusic rebuild: ${namespace}`;
  // Before the lock is taken, so that its holder always has a name.
  await client.query(`SELECT set_config('application_name', $1, false)`, [applicationName()]);
  const onBusy = async () => {
    const holder = waits ? undefined : await holderOf(client, lock);
    if (holder !== undefined) throw new RebuildRunning(holder);
  };
  try {
    return await withAdvisoryLock(client, lock, { everyMs: POLL_EVERY_MS, signal, onBusy }, work);
  } finally {
    await client.query('RESET application_name');
  }
}

/** Postgres keeps 63 bytes of the name, so the host, which may be long, comes last. */
const applicationName = () => `openmusic rebuild ${process.pid} ${Math.floor(Date.now() / 1_000)} ${hostname()}`;

/** Postgres shows a lock of one key as two halves. There is no row when the lock has just been released. */
const HOLDER = `SELECT a.application_name AS name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32) | l.objid::bigint = hashtext($1)::bigint`;

async function holderOf(client: Client, lock: string): Promise<string | undefined> {
  const [row] = (await client.query<{ name: string | null }>(HOLDER, [lock])).rows;
  return row && describe(row.name ?? '');
}

/** Sessions of another database role show no name. */
function describe(applicationName: string): string {
  const [, pid, since, host] = /^openmusic rebuild (\d+) (\d+) (.+)$/.exec(applicationName) ?? [];
  if (since === undefined) return 'by a process that does not show itself';
  return `by process ${pid} on ${host}, since ${new Date(Number(since) * 1_000).toISOString()}`;
}
