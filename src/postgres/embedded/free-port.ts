import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * A free port below the range of client ports (32768 and up). Otherwise, while the server is down, a client that keeps reconnecting
 * could get that port as its own, connect to itself and prevent the server from starting again.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    if ((await refusalOf('127.0.0.1', port)) === undefined) return port;
  }
}

/** Why no program can listen there now; undefined when one can. A machine without IPv6 may still name `::1` for localhost. */
export function refusalOf(address: string, port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const server = createServer();
  server.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'EADDRNOTAVAIL' ? undefined : code));
  server.listen(port, address, () => server.close(() => resolve(undefined)));
  return promise;
}
