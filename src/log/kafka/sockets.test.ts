import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { ISocketFactory } from 'kafkajs';
import { createSockets } from './sockets.ts';

describe('the sockets of a client', () => {
  let server: net.Server;
  let target: Parameters<ISocketFactory>[0];

  beforeEach(async () => {
    server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    // kafkajs passes null for ssl where there is none
    target = { host: '127.0.0.1', port, ssl: null, onConnect: () => undefined } as unknown as typeof target;
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await new Promise((resolve) => server.close(resolve));
  });

  it('send small requests at once', () => {
    const noDelay = jest.spyOn(net.Socket.prototype, 'setNoDelay');
    const sockets = createSockets();
    sockets.open(target).on('error', () => undefined);
    expect(noDelay).toHaveBeenCalledWith(true);
    sockets.destroy();
  });

  it('are destroyed with an error, on which kafkajs relies, and so is each one opened later', async () => {
    const sockets = createSockets();
    const early = sockets.open(target);
    await once(early, 'connect');
    const broken = once(early, 'error');
    sockets.destroy();
    const errors = await Promise.all([broken, once(sockets.open(target), 'error')]);
    expect(errors.flat()).toEqual([new Error('the client is closed'), new Error('the client is closed')]);
    expect(early.destroyed).toBe(true);
  });
});
