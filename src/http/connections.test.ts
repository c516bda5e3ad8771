import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from '@jest/globals';
import { dial } from '../../test/support/raw-http.ts';
import { closeStalled } from './connections.ts';

/** A twentieth of the production value. */
const LIMITS = { stalledMs: 1_000, checkEveryMs: 50 };
/** More than the operating system buffers for a client that reads nothing. */
const LONG = Buffer.alloc(96_000_000);

const opened: { destroy(): unknown }[] = [];
const servers: Server[] = [];
afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

/** Both ends of a connection on which this much is sent. */
async function connected(answer: Buffer): Promise<{ client: Socket; served: Socket }> {
  const server = createServer((_request, response) => response.end(answer));
  closeStalled(server, LIMITS);
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = await dial(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const [served] = await accepted;
  opened.push(client, served);
  client.on('error', () => undefined).pause();
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  return { client, served };
}

it('disconnects a client that reads nothing', async () => {
  const { served } = await connected(LONG);
  const began = performance.now();
  await once(served, 'close');
  expect(performance.now() - began).toBeGreaterThanOrEqual(LIMITS.stalledMs);
});

it('keeps a client that reads slowly but steadily', async () => {
  const { client, served } = await connected(LONG);
  const read = async (bytes: number) => {
    for (let left = bytes; left > 0 && !client.closed;) {
      const data = client.read() as Buffer | null;
      if (data) left -= data.length;
      else await Promise.race([once(client, 'readable'), once(client, 'close')]);
    }
  };
  // Takes five times the limit, in parts so large that the operating system asks for more after each.
  for (let part = 0; part < 20; part++) {
    await read(4_000_000);
    await delay(LIMITS.stalledMs / 4);
  }
  expect(served.closed).toBe(false);
});

it('keeps an idle client that has read everything', async () => {
  const { client, served } = await connected(Buffer.from('short'));
  await once(client.resume(), 'data');
  await delay(2 * LIMITS.stalledMs);
  expect(served.closed).toBe(false);
});
