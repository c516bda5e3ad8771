import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { isRecovering } from '../../src/postgres/outage.ts';
import { ask } from './embedded-postgres.ts';
import { until } from './servers/waiting.ts';

const WITHIN_MS = 60_000;

/** SQL of backends that serve one of these applications. */
export const serving = (...applications: readonly string[]): string =>
  `application_name IN (${applications.map((name) => `'${name}'`).join()})`;

export const WAL_WRITER = `backend_type = 'walwriter'`;

/**
 * Kills the oldest of Postgres' processes that SQL selects, after which it closes all connections and recovers. Resolves
 * when it accepts connections again. Every query uses a connection of its own: an older one dies at some moment meanwhile,
 * and gives answers from before the crash until then.
 */
export async function crashPostgres(connection: PostgresConnection, victim: string): Promise<void> {
  const before = await pidOf(connection, CHECKPOINTER);
  await signalPostgres(connection, victim, 'SIGKILL');
  const isBack = async () => {
    const now = await pidOf(connection, CHECKPOINTER).catch(() => undefined);
    return now !== undefined && now !== before;
  };
  await until(isBack, WITHIN_MS, () => 'Postgres does not come back');
}

/** Started again by every recovery, unlike the postmaster. */
const CHECKPOINTER = `backend_type = 'checkpointer'`;

/**
 * Crashes Postgres and delays its recovery: one of its processes ignores signals, and is killed only after five seconds.
 * Resolves when it rejects connections.
 */
export async function crashWithoutRecovery(connection: PostgresConnection): Promise<void> {
  await signalPostgres(connection, CHECKPOINTER, 'SIGSTOP');
  await signalPostgres(connection, WAL_WRITER, 'SIGKILL');
  const isRefused = () => ask(connection, 'SELECT 1').then(() => false, isRecovering); // prettier-ignore
  await until(isRefused, WITHIN_MS, () => 'Postgres does not recover from a crash');
}

/** Waits until there is such a process. One that has ended since it was listed gets no signal; then the next is looked for. */
export async function signalPostgres(connection: PostgresConnection, which: string, signal: NodeJS.Signals) {
  const isSent = async () => {
    const pid = await pidOf(connection, which);
    return pid !== undefined && wasSent(pid, signal);
  };
  await until(isSent, WITHIN_MS, () => `Postgres has no process where ${which}`);
}

function wasSent(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    return false;
  }
}

async function pidOf(connection: PostgresConnection, which: string): Promise<number | undefined> {
  const text = `SELECT pid FROM pg_stat_activity WHERE ${which} ORDER BY backend_start LIMIT 1`;
  return (await ask(connection, text)) as number | undefined;
}
