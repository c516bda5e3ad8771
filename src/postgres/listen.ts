import pg from 'pg';
import { reasonOf } from '../errors.ts';
import { sleep, type Stoppable } from '../lifecycle.ts';
import type { PostgresConnection } from './connection.ts';
import { clientConfig, type Database } from './pool.ts';
import { liftTimeLimits } from './time-limits.ts';

export interface ListenOptions {
  readonly connection: PostgresConnection;
  readonly channel: string;
  /** Undefined when notices may have been missed. */
  readonly onNotice: (payload: string | undefined) => void;
  readonly report: (message: string) => void;
}

const AGAIN_AFTER_MS = 250;

/** Listens on a connection of its own, and on another one as soon as that is lost. Notices sent meanwhile are missed. */
export function listen({ connection, channel, onNotice, report }: ListenOptions): Stoppable {
  const stopping = new AbortController();
  const config = {
    ...clientConfig(connection, { name: 'openmusic listen', searchPath: ['public'] }),
    query_timeout: 3_000,
  };

  async function listenOnce(): Promise<void> {
    const client = new pg.Client(config);
    const lost = new Promise<unknown>((resolve) => {
      client.once('error', resolve);
      client.once('end', () => resolve(undefined));
      stopping.signal.addEventListener('abort', () => resolve(undefined), { once: true });
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

  const listening = (async () => {
    while (!stopping.signal.aborted) {
      await listenOnce().catch((error: unknown) => report(`cannot listen on ${channel}: ${reasonOf(error)}`));
      await sleep(AGAIN_AFTER_MS, stopping.signal);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await listening;
    },
  };
}

/** Sends notices, all that gathered meanwhile in one round trip. A lost one is only late. */
export function createNotifier(database: Database, channel: string): (payloads: readonly string[]) => void {
  const waiting: string[] = [];
  let sending = false;
  const send = async (): Promise<void> => {
    sending = true;
    while (waiting.length > 0) {
      const text = 'SELECT pg_notify($1, payload) FROM unnest($2::text[]) payload';
      await database.query({ name: 'notify', text, values: [channel, waiting.splice(0)] }).catch(() => undefined);
    }
    sending = false;
  };
  return (payloads) => {
    waiting.push(...payloads);
    if (!sending) void send();
  };
}
