import { reasonOf } from '../errors.ts';
import { retryUntil } from '../concurrency/retry.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { PostgresConnection } from './connection.ts';
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './embedded.ts';

export interface KeptPostgres extends Stoppable {
  readonly connection: PostgresConnection;
}

const AGAIN_AFTER_MS = 1_000;

/**
 * The embedded server, started again at the same port whenever it ends by itself: Postgres gives up when its own log
 * finds no room on the disk, and does not come back alone when there is.
 */
export async function keepEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
  report: (message: string) => void,
): Promise<KeptPostgres> {
  let server = await startEmbeddedPostgres(options);
  const { connection } = server;
  const stopping = new AbortController();

  const startAgain = () =>
    retryUntil(stopping.signal, () => startEmbeddedPostgres({ ...options, port: connection.port }), {
      pauseMs: AGAIN_AFTER_MS,
      onFailure: (error) => report(reasonOf(error)),
    });

  const keeping = (async () => {
    for (let next: EmbeddedPostgres | undefined = server; next; next = await startAgain()) {
      server = next;
      if (!stopping.signal.aborted) await server.exited;
      if (stopping.signal.aborted) return; // `stop` sees to the rest
      report('Postgres has ended by itself and is started again');
      await server.stop(); // what our side still holds of it
    }
  })();
  return {
    connection,
    async stop() {
      stopping.abort();
      await server.stop();
      await keeping;
      await server.stop(); // another one, when it was being started meanwhile
    },
  };
}
