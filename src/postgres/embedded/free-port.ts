import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * A free port below the range from which clients get theirs (32768 and up): while a server is down, a client that keeps
 * reconnecting could otherwise be given that very port, connect to itself and keep the server from coming back.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    if ((await refusalOf('127.0.0.1', port)) === undefined) return port;
  }
}

/** Why no program can listen there now. A machine without IPv6 may still name `::1` as an address of localhost. */
export function refusalOf(address: string, port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const server = createServer();
  server.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'EADDRNOTAVAIL' ? undefined : code));
  server.listen(port, address, () => server.close(() => resolve(undefined)));
  return promise;
}
