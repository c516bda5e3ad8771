import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * A free port below the range from which clients get theirs (32768 and up): while a server is down, a client that keeps
 * reconnecting could otherwise be given that very port, connect to itself and keep the server from coming back.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  return promise;
}
