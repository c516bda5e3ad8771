import pg from 'pg';
import { reasonOf } from '../errors.ts';
import { sleep, type Stoppable } from '../lifecycle.ts';
import type { PostgresConnection } from './connection.ts';
import { clientConfig, type Database } from './pool.ts';

export interface ListenOptions {
  readonly connection: PostgresConnection;
  readonly channel: string;
  readonly onNotice: () => void;
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
    client.on('notification', onNotice);
    try {
      await client.connect();
      await client.query(`LISTEN "${channel}"`);
      onNotice(); // whatever was missed before
      await lost;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  const listening = (async () => {
    while (!stopping.signal.aborted) {
      await listenOnce().catch((error: unknown) => report(`cannot listen for commits: ${reasonOf(error)}`));
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

/** Sends notices of what was committed, one at a time: calls that come meanwhile share the next one. A lost one is only late. */
export function createNotifier(database: Database, channel: string): () => void {
  let sending = false;
  let asked = 0;
  const send = async (): Promise<void> => {
    sending = true;
    for (let answered = asked - 1; answered !== asked;) {
      answered = asked;
      await database
        .query({ name: 'notify', text: `SELECT pg_notify($1, '')`, values: [channel] })
        .catch(() => undefined);
    }
    sending = false;
  };
  return () => {
    asked++;
    if (!sending) void send();
  };
}
