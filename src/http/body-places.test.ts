import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import { httpApp } from '../../test/support/http-app.ts';
import { KEYS } from '../../test/support/keys.ts';
import { dial } from '../../test/support/raw-http.ts';
import { until } from '../../test/support/servers/waiting.ts';
import { forge, now } from '../../test/support/tokens.ts';
import { startHttp } from './server.ts';

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end();
});

const COVER = 'covers/01999d3e-8f5c-7a40-b2f1-0c9a4e6d1b77.png';

/** A server with one cover whose content never ends. */
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
  it('are at most 16 per address: the next one waits, other addresses do not', async () => {
    const { ask, untilOpened } = await serve();
    const first = await ask('192.0.2.1');
    for (const n of range(15)) {
      await untilOpened(n + 1);
      await ask('192.0.2.1');
    }
    await untilOpened(16);
    await ask('192.0.2.1');
    await ask('192.0.2.2');
    await untilOpened(17);
    first.destroy();
    await untilOpened(18);
  });

  it('are limited per network, however many of its addresses read', async () => {
    const { ask, untilOpened } = await serve();
    await Promise.all(range(250).map((n) => ask(`2001:db8:0:${n.toString(16).padStart(2, '0')}00::1`)));
    await untilOpened(160);
    await ask('2001:db8:1::1');
    await untilOpened(161);
  });
});

describe('checks of files', () => {
  const tokenOf = (sub: string) =>
    forge({ sub, role: 'user', aud: 'access', jti: 'x', iat: now(), exp: now() + 60 }, KEYS.ACCESS_TOKEN_KEY);

  it('take no place before their body has arrived: ten incomplete ones delay no other', async () => {
    const { app } = httpApp({ rows: { 'find-files': [] } });
    const { url, stop } = await startHttp(app, { host: '127.0.0.1', port: 0, drainMs: 0 });
    ended.push(stop);
    for (const n of range(10)) {
      const socket = await dial(url);
      ended.push(() => socket.destroy());
      const head = `POST /downloads/check HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenOf(`user-${n >> 1}`)}\r\n`;
      socket.write(`${head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{`);
    }
    const headers = { authorization: `Bearer ${tokenOf('user-9')}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ fileIds: ['file-1'] });
    const answer = await fetch(`${url}/downloads/check`, { method: 'POST', headers, body });
    expect(answer.status).toBe(200);
  });
});
