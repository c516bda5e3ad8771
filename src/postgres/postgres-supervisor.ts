import { reasonOf } from '../errors.ts';
import { retryUntil } from '../concurrency/retry.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { PostgresConnection } from './connection.ts';
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './embedded.ts';

export interface SupervisedPostgres extends Stoppable {
  readonly connection: PostgresConnection;
}

const AGAIN_AFTER_MS = 1_000;

/**
 * The embedded server, restarted at the same port when it exits by itself: Postgres exits when the disk has no room for its log, and
 * does not restart when there is room again.
 */
export async function keepEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
  report: (message: string) => void,
): Promise<SupervisedPostgres> {
  let server = await startEmbeddedPostgres(options);
  const { connection } = server;
  const stopping = new AbortController();

  const startAgain = () =>
    retryUntil(stopping.signal, () => startEmbeddedPostgres({ ...options, port: connection.port }), {
      pauseMs: AGAIN_AFTER_MS,
      onFailure: (error) => report(reasonOf(error)),
    });

  const supervising = (async () => {
    for (let next: EmbeddedPostgres | undefined = server; next; next = await startAgain()) {
      server = next;
      if (!stopping.signal.aborted) await server.exited;
      if (stopping.signal.aborted) return; // `stop` does the rest
      report('Postgres has ended by itself and is started again');
      await server.stop(); // releases the lock on it
    }
  })();
  return {
    connection,
    async stop() {
      stopping.abort();
      await server.stop();
      await supervising;
      await server.stop(); // the one that was being started meanwhile, if any
    },
  };
}
