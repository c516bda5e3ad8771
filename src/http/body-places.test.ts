import { Readable } from 'node:stream';
import { afterEach, describe, it } from '@jest/globals';
import { httpApp } from '../../test/support/http-app.ts';
import { dial } from '../../test/support/raw-http.ts';
import { until } from '../../test/support/servers/waiting.ts';
import { startHttp } from './server.ts';

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end();
});

const COVER = 'covers/01999d3e-8f5c-7a40-b2f1-0c9a4e6d1b77.png';

/** A server of one cover that nobody ever has all of. */
async function serve() {
  let opened = 0;
  const read = () => Promise.resolve(new Readable({ read: () => undefined }));
  const open = () => {
    opened++;
    return Promise.resolve({ size: 5, read, close: () => Promise.resolve() });
  };
  const { app } = httpApp({
    files: { put: () => Promise.resolve(), open },
    rows: { 'covers-among': [{ cover: COVER }] },
    trustProxy: ['127.0.0.1'],
  });
  const { url, stop } = await startHttp(app, { host: '127.0.0.1', port: 0, drainMs: 0 });
  ended.push(stop);
  const ask = async (from: string) => {
    const socket = await dial(url);
    ended.push(() => socket.destroy());
    socket.resume().write(`GET /${COVER} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${from}\r\n\r\n`);
    return socket;
  };
  const untilOpened = (count: number) =>
    until(
      () => Promise.resolve(opened === count),
      5_000,
      () => `${opened} were opened`,
    );
  return { ask, untilOpened };
}

const range = (count: number) => Array.from({ length: count }, (_, n) => n);

describe('files that are read slowly', () => {
  it('are 32 of one address: the next one waits, and others do not', async () => {
    const { ask, untilOpened } = await serve();
    const first = await ask('192.0.2.1');
    for (const n of range(31)) {
      await untilOpened(n + 1);
      await ask('192.0.2.1');
    }
    await untilOpened(32);
    await ask('192.0.2.1');
    await ask('192.0.2.2');
    await untilOpened(33);
    first.destroy();
    await untilOpened(34);
  });

  it('are never all of one network, however many addresses of it read', async () => {
    const { ask, untilOpened } = await serve();
    await Promise.all(range(250).map((n) => ask(`2001:db8:0:${n.toString(16).padStart(2, '0')}00::1`)));
    await untilOpened(199);
    await ask('2001:db8:1::1');
    await untilOpened(200);
  });
});
