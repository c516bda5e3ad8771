import { createSocket } from 'node:dgram';
import { freePort as findPort } from '../../stack/ports.ts';

/**
 * A free port that no other process of these tests gets while this one lives: its server takes seconds to listen, and does
 * not while it is down. A UDP socket of the same number reserves it, which does not conflict with the server.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await findPort();
    if (await reserve(port)) return port;
  }
}

function reserve(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createSocket('udp4').unref();
  socket.once('error', () => resolve(false));
  socket.bind(port, '127.0.0.1', () => resolve(true));
  return promise;
}
