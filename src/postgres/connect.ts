import pg from 'pg';
import { retry } from '../concurrency/retry.ts';
import { reasonOf } from '../errors.ts';
import { isRecovering } from './outage.ts';
import { sqlState } from './pool.ts';

const AGAIN_AFTER_MS = 100;
/** A recovery replays what was written since the last checkpoint, which can be gigabytes. */
const RECOVERY_MS = 300_000;
/** A recovering server breaks connections only for moments. A server that keeps breaking them without an error is no Postgres. */
const BROKEN_MS = 10_000;

/** A connection outside of any pool. Retries while the server starts or recovers from a crash, and calls `report` once then. */
export async function connectOnceUp(
  config: pg.ClientConfig,
  report: (message: string) => void = () => undefined,
): Promise<pg.Client> {
  const begin = performance.now();
  let brokenSince: number | undefined;
  const onFailure = (error: unknown, tries: number) => {
    const now = performance.now();
    brokenSince = sqlState(error) === undefined ? (brokenSince ?? now) : undefined;
    const isOver = now - begin > RECOVERY_MS || (brokenSince !== undefined && now - brokenSince > BROKEN_MS);
    if (!isRecovering(error) || isOver) throw error;
    if (tries === 1) report(`waiting for Postgres: ${reasonOf(error)}`);
  };
  return retry(() => connect(config), { pauseMs: () => AGAIN_AFTER_MS, onFailure });
}

async function connect(config: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client(config);
  // A broken connection rejects the query that runs on it. Without a listener its own event would end the process.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
