import pg from 'pg';
import { reasonOf } from '../errors.ts';
import { poll } from '../concurrency/poll.ts';
import { batchWrites } from '../concurrency/batch.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { PostgresConnection } from './connection.ts';
import { clientConfig, type Database } from './pool.ts';
import { liftTimeLimits } from './time-limits.ts';

export interface NoticeListenerOptions {
  readonly connection: PostgresConnection;
  readonly channel: string;
  /** The payload is undefined when notices may have been missed. */
  readonly onNotice: (payload: string | undefined) => void;
  readonly report: (message: string) => void;
}

const AGAIN_AFTER_MS = 250;

/** Listens on a connection of its own, and opens another one when that is lost. Notices sent meanwhile are missed. */
export function listen({ connection, channel, onNotice, report }: NoticeListenerOptions): Stoppable {
  const config = {
    ...clientConfig(connection, { name: 'openmusic listen', searchPath: ['public'] }),
    query_timeout: 3_000,
  };

  async function listenOnce(stopping: AbortSignal): Promise<void> {
    const client = new pg.Client(config);
    const lost = new Promise<unknown>((resolve) => {
      client.once('error', resolve);
      client.once('end', () => resolve(undefined));
      stopping.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    client.on('notification', ({ payload }) => onNotice(payload));
    try {
      await client.connect();
      await liftTimeLimits(client);
      await client.query(`LISTEN "${channel}"`);
      onNotice(undefined);
      await lost;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  const onFailure = (error: unknown) => report(`cannot listen on ${channel}: ${reasonOf(error)}`);
  return poll(listenOnce, { everyMs: AGAIN_AFTER_MS, onFailure });
}

/** Sends notices. Those that come while a query runs share the next one. A lost notice only delays the listener's next poll. */
export function createNotifier(database: Database, channel: string): (payloads: readonly string[]) => void {
  const text = 'SELECT pg_notify($1, payload) FROM unnest($2::text[]) payload';
  const send = batchWrites<readonly string[]>(
    (batches) => database.query({ name: 'notify', text, values: [channel, batches.flat()] }).catch(() => undefined),
    Infinity,
    1,
  );
  return (payloads) => {
    if (payloads.length > 0) void send(payloads);
  };
}
