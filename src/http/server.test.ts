import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { FastifyInstance } from 'fastify';
import { httpApp, type Substitutes } from '../../test/support/http-app.ts';
import { KEYS } from '../../test/support/keys.ts';
import { dial, rawHttp, untilClosed } from '../../test/support/raw-http.ts';
import { forge, now } from '../../test/support/tokens.ts';
import { type HttpOptions, startHttp } from './server.ts';

const started: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});

async function start(substitutes: Substitutes = {}, options: Partial<HttpOptions> = {}) {
  const made = httpApp(substitutes);
  const server = await startHttp(made.app, { host: '127.0.0.1', port: 0, ...options });
  started.push(server);
  return { ...made, server };
}

function headersOf(role: string) {
  const claims = { sub: 'user-9', role, aud: 'access', jti: 'x', iat: now(), exp: now() + 60 };
  return { authorization: `Bearer ${forge(claims, KEYS.ACCESS_TOKEN_KEY)}`, 'content-type': 'application/json' };
}

const post = 'POST /albums HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';

describe('listening', () => {
  it('reports in one line that the port is in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    await expect(start({}, { port })).rejects.toThrow(
      `Port ${port} on 127.0.0.1 is in use. Stop the program that uses it, or choose another port.`,
    );
    taken.close();
  });

  it('reports in one line that the address is not one of the machine', async () => {
    await expect(start({}, { host: '203.0.113.1' })).rejects.toThrow('203.0.113.1 is not an address of this machine.');
  });

  it('listens on every address of localhost, and answers malformed requests on each', async () => {
    const { server } = await start({}, { host: 'localhost' });
    const { port } = new URL(server.url);
    for (const url of [`http://127.0.0.1:${port}`, server.url]) {
      expect((await fetch(url)).status).toBe(200);
      expect(JSON.parse((await rawHttp(url, 'nonsense\r\n\r\n')).body)).toMatchObject({ code: 'MALFORMED_REQUEST' });
    }
  });

  it('completes 1,000 connections at every address while it is too busy to accept any', async () => {
    const { server } = await start({}, { host: 'localhost' });
    const port = Number(new URL(server.url).port);
    for (const { address } of await lookup('localhost', { all: true })) {
      const connected = new Int32Array(new SharedArrayBuffer(4));
      const opening = new Worker(OPENS_CONNECTIONS, { eval: true, workerData: { address, port, connected } });
      const outcome = Atomics.wait(connected, 0, 0, 10_000); // this thread, which accepts, does nothing else
      await opening.terminate();
      expect(outcome).not.toBe('timed-out');
    }
  });
});

/** Opens 1,000 connections, and wakes the waiting thread once all of them are complete. */
const OPENS_CONNECTIONS = `
  const { once } = require('node:events');
  const { connect } = require('node:net');
  const { address, port, connected } = require('node:worker_threads').workerData;
  const opened = Array.from({ length: 1_000 }, () => once(connect(port, address), 'connect'));
  Promise.all(opened).then(() => {
    Atomics.store(connected, 0, 1);
    Atomics.notify(connected, 0);
  });`;

describe('a request that Fastify never gets', () => {
  it.each([
    ['not HTTP', 'nonsense\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['a malformed header', 'GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['two lengths', `${post}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}`, 400, 'MALFORMED_REQUEST'],
    [
      'a length and chunks',
      `${post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      'MALFORMED_REQUEST',
    ],
    ['a malformed chunk', `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400, 'MALFORMED_REQUEST'],
    ['a line of 70 KB', `GET /${'a'.repeat(70_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431, 'HEADERS_TOO_LARGE'],
    ['a header of 70 KB', `GET / HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(70_000)}\r\n\r\n`, 431, 'HEADERS_TOO_LARGE'],
    [
      'bytes that are no UTF-8',
      Buffer.from('GET /albums/\xff HTTP/1.1\r\nHost: x\r\n\r\n', 'latin1'),
      400,
      'MALFORMED_REQUEST',
    ],
    ['CONNECT', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['no Host in a whole URL', 'GET http://x/health HTTP/1.1\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['no Host where there is nothing', 'GET /nothing HTTP/1.1\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['the same Host twice', 'GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['a Host of two words', 'GET / HTTP/1.1\r\nHost: x y\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['a Host with a path', 'GET / HTTP/1.1\r\nHost: x/y\r\n\r\n', 400, 'MALFORMED_REQUEST'],
  ])('%s', async (_what, bytes, status, code) => {
    const { server, sent } = await start();
    const answer = await rawHttp(server.url, bytes);
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/json; charset=utf-8']);
    expect(JSON.parse(answer.body)).toMatchObject({ status: 'fail', code, requestId: answer.headers['x-request-id'] });
    expect(sent).toEqual([]);
  });

  it.each([
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 200],
    ['a Host of IPv6', 'GET / HTTP/1.1\r\nHost: [::1]:5000\r\n\r\n', 200],
    ['an unknown expectation', 'GET / HTTP/1.1\r\nHost: x\r\nExpect: the-unexpected\r\n\r\n', 200],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', 200],
    ['HTTP/1.0 with two Hosts', 'GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n', 200],
    ['an upgrade', 'GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n', 200],
    ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', 404],
    ['a whole URL', 'GET http://x/health HTTP/1.1\r\nHost: x\r\n\r\n', 200],
    ['a whole URL without a path', 'GET HTTP://x?y=/z HTTP/1.1\r\nHost: x\r\n\r\n', 200],
    ['a path of 60 KB', `GET /albums/album-${'a'.repeat(60_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 404],
    ['/..', 'GET /albums/.. HTTP/1.1\r\nHost: x\r\n\r\n', 404],
    ['/%2e%2e', 'GET /albums/%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n', 404],
    ['/%2F', 'GET /albums/album-%2F.. HTTP/1.1\r\nHost: x\r\n\r\n', 404],
  ])('%s is served', async (_what, bytes, status) => {
    const { server } = await start();
    const answer = await rawHttp(server.url, bytes);
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/json; charset=utf-8']);
  });

  it('a body above the limit is 413 as a complete answer, with and without a length', async () => {
    const { server } = await start();
    const big = 'a'.repeat(8 * 1024 * 1024);
    const json = { 'content-type': 'application/json' };
    const streamed = new Blob([big]).stream();
    for (const body of [big, streamed]) {
      const answer = await fetch(`${server.url}/albums`, {
        method: 'POST',
        headers: json,
        body,
        duplex: 'half',
      });
      expect([answer.status, await answer.json()]).toMatchObject([413, { status: 'fail', code: 'BODY_TOO_LARGE' }]);
    }
  });

  it.each([
    ['user', '/jobs', 413],
    ['user', '/messages', 413],
    ['user', '/messages/batch', 413],
    ['user', '/admin/dead-letters/job-1/redrive', 413],
    ['user', '/admin/log/records', 413],
    ['admin', '/jobs', 400],
    ['admin', '/messages', 400],
    ['admin', '/messages/batch', 400],
    ['admin', '/admin/dead-letters/job-1/redrive', 400],
    ['admin', '/albums', 413],
  ])('of 70 kB of %s at %s is %d, with and without a length', async (role, path, status) => {
    const { server } = await start({ appendRecords: () => Promise.resolve() });
    const headers = headersOf(role);
    const text = JSON.stringify({ unknown: 'a'.repeat(70_000) });
    for (const body of [text, new Blob([text]).stream()]) {
      const answer = await fetch(`${server.url}${path}`, { method: 'POST', headers, body, duplex: 'half' });
      expect([answer.status, await answer.json()]).toMatchObject([
        status,
        { status: 'fail', code: status === 413 ? 'BODY_TOO_LARGE' : 'VALIDATION_FAILED' },
      ]);
    }
  });

  it.each([
    ['as they are', '\u{1F3B5}', 5_242_880],
    ['as they are, where a batch may have less', '\u{1F3B5}', 100],
    ['as escapes', String.raw`\ud83c\udfb5`, 100],
    ['as a newline each', String.raw`\n`, 100],
  ])('accepts a message of 50,000 characters of an admin, %s', async (_, character, bytes) => {
    const { server, submissions } = await start({ jobs: { batch: { items: 5, bytes } } });
    const headers = headersOf('admin');
    const body = `{"to":"chris@example.com","subject":"Yes","body":"${character.repeat(50_000)}"}`;
    expect((await fetch(`${server.url}/messages`, { method: 'POST', headers, body })).status).toBe(202);
    expect(submissions).toMatchObject([{ type: { name: 'email' } }]);
  });

  it('a client that sends slowly is disconnected', async () => {
    const { server, app } = await start();
    app.server.headersTimeout = 100;
    const socket = await dial(server.url);
    socket.write('GET / HTTP/1.1\r\n');
    const answer = await untilClosed(socket);
    expect(answer).toMatch(/^HTTP\/1.1 408 /);
    expect(answer).toContain('"REQUEST_TIMEOUT"');
  });
});

describe('a request that comes too late', () => {
  const body = '{"name":"a","year":1}';
  const late = `${post}Content-Length: ${body.length}\r\n\r\n${body.slice(0, -1)}`;

  /** Everything received on a connection on which the rest is sent once there is an answer. */
  async function sendLate(url: string, bytes: string): Promise<string> {
    const socket = await dial(url);
    socket.on('error', () => undefined).write(bytes);
    let got = '';
    for await (const data of socket.setEncoding('latin1') as AsyncIterable<string>) {
      got += data;
      if (!socket.writableEnded) socket.write(body.slice(-1));
    }
    return got;
  }

  it('is not carried out after its 408', async () => {
    const { server, app, sent } = await start();
    Object.assign(app.server, { headersTimeout: 100, requestTimeout: 100 });
    const ended = once(app.server, 'connection').then(([socket]) => once(socket as Socket, 'close'));
    expect(await sendLate(server.url, late)).toMatch(/^HTTP\/1.1 408 /);
    await ended; // until then the rest is read
    expect(sent).toEqual([]);
  });

  it('gets its 408 after the answer to the request before it, which is carried out', async () => {
    const { promise: may, resolve: go } = Promise.withResolvers<void>();
    const { server, app, sent } = await start({
      outcome: async () => {
        await may;
        return { recordId: 'r', version: 1, replayed: false };
      },
    });
    Object.assign(app.server, { headersTimeout: 100, requestTimeout: 100 });
    const refused = new Promise((resolve) => app.server.once('clientError', resolve));
    const got = sendLate(server.url, `${post}Content-Length: ${body.length}\r\n\r\n${body}${late}`);
    await refused;
    go();
    expect((await got).match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 201', 'HTTP/1.1 408']);
    expect(sent).toHaveLength(1);
  });

  it('that asks for a tunnel is refused after the answer to the request before it', async () => {
    const { promise: may, resolve: go } = Promise.withResolvers<void>();
    const { server, app } = await start({
      outcome: async () => {
        await may;
        return { recordId: 'r', version: 1, replayed: false };
      },
    });
    const refused = once(app.server, 'connect');
    const create = `${post}Content-Length: ${body.length}\r\n\r\n${body}`;
    const got = sendLate(server.url, `${create}CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n`);
    await refused;
    go();
    expect((await got).match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 201', 'HTTP/1.1 400']);
  });
});

// Over a connection: what injects requests makes paths of them.
describe('a request for an absolute URL', () => {
  const ask = (url: string, method: string, target: string) =>
    rawHttp(url, `${method} ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);

  it.each(['http://x', 'HTTPS://music.test:5000', 'http://user@x'])(
    'of %s is a request for its path',
    async (origin) => {
      const { server } = await start();
      const refused = await ask(server.url, 'POST', `${origin}/songs/s?x=/y`);
      expect([refused.status, refused.headers.allow]).toEqual([405, 'DELETE, GET, HEAD, OPTIONS, PUT']);
      const options = await ask(server.url, 'OPTIONS', `${origin}/songs`);
      expect([options.status, options.headers.allow]).toEqual([200, 'GET, HEAD, OPTIONS, POST']);
      expect((await ask(server.url, 'OPTIONS', `${origin}/nothing`)).status).toBe(404);
    },
  );

  it('is the same command under the same key', async () => {
    const { server, sent } = await start();
    for (const target of ['/albums', 'http://x/albums', 'http://y:1/albums?z']) {
      const head = post.replace('/albums', target);
      await rawHttp(
        server.url,
        `${head}Idempotency-Key: a-key-of-22-characters\r\nContent-Length: 21\r\n\r\n{"name":"a","year":1}`,
      );
    }
    expect(sent).toHaveLength(3);
    expect(new Set(sent.map(({ origin }) => origin.commandId)).size).toBe(1);
  });
});

describe('a client that closes its half of the connection', () => {
  const request = 'GET /albums/album-1 HTTP/1.1\r\nHost: x\r\n\r\n';

  async function half(url: string, bytes: string): Promise<string> {
    const { port, hostname } = new URL(url);
    const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    socket.end(bytes);
    return untilClosed(socket);
  }

  /** A server whose commands wait until the test releases them. */
  async function waiting() {
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: may, resolve: go } = Promise.withResolvers<void>();
    const outcome = async () => {
      begin();
      await may;
      return { recordId: 'r', version: 1, replayed: false };
    };
    return { ...(await start({ outcome })), begun, go };
  }

  const create = `${post}Content-Length: 21\r\n\r\n{"name":"a","year":1}`;

  it('gets an answer to each of its requests', async () => {
    const { server } = await start();
    expect(await half(server.url, request)).toMatch(/^HTTP\/1.1 404 [^]*ALBUM_NOT_FOUND/);
    expect((await half(server.url, request.repeat(3))).match(/ALBUM_NOT_FOUND/g)).toHaveLength(3);
    expect(await half(server.url, request.replace('1.1', '1.0'))).toMatch(/ 404 [^]*ALBUM_NOT_FOUND/);
  });

  it('gets interim answers and then the answer when it takes long', async () => {
    const { server, begun, go } = await waiting();
    const { port, hostname } = new URL(server.url);
    const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    socket.end(create);
    await begun;
    const [interim] = (await once(socket, 'data')) as [Buffer];
    expect(String(interim)).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    const rest = untilClosed(socket);
    go();
    expect(await rest).toMatch(/HTTP\/1.1 201 /);
  });

  it('is told apart from a disconnected one, whose connection ends before its answer', async () => {
    const { app, server, begun, go } = await waiting();
    const socket = await dial(server.url);
    socket.write(create);
    await begun;
    socket.destroy();
    const connections = promisify(app.server.getConnections.bind(app.server));
    while ((await connections()) > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    go();
  });

  it('is disconnected when it waits only for events', async () => {
    const job = {
      id: 'job-1',
      version: 1,
      owner_id: 'user-9',
      type: 'dummy',
      state: 'running',
      done: 0,
      total: 1,
      failed: 0,
      created_at: new Date(),
      run_at: null,
      finished_at: null,
      repeat_cron: null,
      repeat_zone: null,
      result: '{}',
      parent_id: null,
      replaces: null,
      dropped: false,
      file_id: null,
      file_name: null,
      file_size: null,
      attempts: [],
    };
    const { server } = await start({ rows: { 'find-job': [job] } });
    const { authorization } = headersOf('user');
    const head = `GET /jobs/job-1/events HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n\r\n`;
    expect(await half(server.url, head)).toMatch(/^HTTP\/1.1 200 [^]*retry: 2000/);
  });
});

describe('a client that leaves while it sends', () => {
  it.each([
    ['a body', `${post}Content-Length: 100\r\n\r\n{"name":`],
    ['a body in chunks', `${post}Transfer-Encoding: chunked\r\n\r\n5\r\n{"nam\r\n`],
    [
      'a batch',
      `${post.replace('/albums', '/messages/batch')}Authorization: ${headersOf('user').authorization}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"ite\r\n`,
    ],
    [
      'a cover',
      'POST /albums/album-1/covers HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 9000\r\n\r\n--x\r\nContent-Disposition: form-data; name="cover"; filename="a"\r\n\r\nabc',
    ],
  ])('in the middle of %s is logged as such, and not as a failure', async (_what, bytes) => {
    const { server, lines, sent } = await start();
    const socket = await dial(server.url);
    socket.write(bytes);
    expect((await fetch(`${server.url}/livez`)).status).toBe(200); // what was sent before has come
    socket.resetAndDestroy();
    while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(lines).toMatchObject([
      { level: 30, code: 'CLIENT_LEFT', msg: 'a client disconnected while it was sending its request' },
    ]);
    expect(sent).toEqual([]);
  });
});

describe('a connection', () => {
  const connectionsOf = (app: FastifyInstance) => promisify(app.server.getConnections.bind(app.server))();

  /** A connection whose bytes were answered and whose client can still send. */
  async function answered(bytes: string) {
    const { app, server } = await start();
    const { port, hostname } = new URL(server.url);
    const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    socket.on('error', () => undefined).write(bytes);
    await once(socket, 'data');
    const isGone = async () => {
      while ((await connectionsOf(app)) > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    return { server, socket, isGone };
  }

  it.each([
    ['CONNECT', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['what is not HTTP', 'nonsense\r\n\r\n'],
    ['a body that is too large', `${post}Content-Length: 100000000\r\n\r\n`],
  ])('closes soon after the answer to %s, even if the client keeps its half open', async (_, bytes) => {
    const { socket, isGone } = await answered(bytes);
    socket.resume();
    await isGone();
    socket.destroy();
  });

  it.each([
    ['CONNECT', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['what is not HTTP', 'nonsense\r\n\r\n'],
  ])('that is reset after the answer to %s affects no other', async (_, bytes) => {
    const { socket, isGone, server } = await answered(bytes);
    socket.resetAndDestroy();
    await isGone();
    expect((await rawHttp(server.url, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')).status).toBe(200);
  });

  it('is closed when more than ten pipelined requests wait', async () => {
    const { server } = await start({ outcome: () => new Promise<never>(() => undefined) });
    const created = `${post}Content-Length: 21\r\n\r\n{"name":"a","year":1}`;
    const [few, many] = await Promise.all([dial(server.url), dial(server.url)]);
    few.write(created.repeat(11));
    many.on('error', () => undefined).write(created.repeat(12));
    await once(many.resume(), 'close');
    expect(few.closed).toBe(false);
    few.destroy();
  });

  it('has its requests handled one after the other', async () => {
    const [begun, may] = [[] as number[], [] as (() => void)[]];
    const { server } = await start({
      outcome: async () => {
        const { promise, resolve } = Promise.withResolvers<void>();
        may[begun.push(begun.length) - 1] = resolve;
        await promise;
        return { recordId: 'r', version: 1, replayed: false };
      },
    });
    const socket = await dial(server.url);
    socket.write(`${post}Content-Length: 21\r\n\r\n{"name":"a","year":1}`.repeat(2));
    while (begun.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    // A request that is sent later, on another connection, is answered before the second of this one begins.
    expect((await fetch(server.url)).status).toBe(200);
    expect(begun).toEqual([0]);
    may[0]?.();
    while (begun.length === 1) await new Promise((resolve) => setTimeout(resolve, 10));
    may[1]?.();
    socket.destroy();
  });
});

describe('stopping', () => {
  it('waits for running requests, closes idle connections and accepts no new ones', async () => {
    const { promise: running, resolve: begun } = Promise.withResolvers<void>();
    const { promise: may, resolve: finish } = Promise.withResolvers<void>();
    const { server } = await start(
      {
        outcome: async () => {
          begun();
          await may;
          return { recordId: 'r', version: 1, replayed: false };
        },
      },
      { drainMs: 600_000 },
    );
    const agent = new Agent({ keepAlive: true });
    const [first] = (await once(get(server.url, { agent }), 'response')) as [IncomingMessage];
    await once(first.resume(), 'end');
    const headers = { 'content-type': 'application/json' };
    const answer = fetch(`${server.url}/albums`, { method: 'POST', headers, body: '{"name":"a","year":1}' });
    await running;
    const stopped = server.stop();
    // Reset, when the connection was made just before the socket closed and was not accepted.
    await expect(dial(server.url)).rejects.toThrow(/ECONNREFUSED|ECONNRESET/);
    finish();
    expect((await answer).status).toBe(201);
    await stopped; // an idle connection would keep it for longer than a test may take
    agent.destroy();
  });

  it('closes connections whose requests do not finish in time', async () => {
    const { promise: running, resolve: begin } = Promise.withResolvers<void>();
    const never = () => new Promise<never>(() => begin());
    const { server } = await start({ outcome: never }, { drainMs: 200 });
    const socket = await dial(server.url);
    socket.write(`${post}Content-Length: 21\r\n\r\n{"name":"a","year":1}`);
    await running;
    await Promise.all([server.stop(), server.stop()]);
    expect(await untilClosed(socket).catch(() => '')).toBe('');
  });
});

describe('a long list', () => {
  const song = { id: 'song-1', title: 't'.repeat(1_000), performer: 'p' };

  async function* endless(state: { chunks: number }) {
    for (;;) {
      state.chunks++;
      yield Array.from({ length: 500 }, () => song);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The number of chunks read, once none was at ten looks in a row. One long pause would not do: the process may stand still. */
  async function untilStill(state: { chunks: number }): Promise<number> {
    for (let looks = 0, before = 0; looks < 10; before = state.chunks) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      looks = state.chunks > 0 && state.chunks === before ? looks + 1 : 0;
    }
    return state.chunks;
  }

  it('is read no faster than the client reads it, and no longer than the client stays', async () => {
    const state = { chunks: 0 };
    const { server } = await start({ chunks: () => endless(state) });
    const socket = await dial(server.url);
    socket.pause();
    socket.write('GET /songs HTTP/1.1\r\nHost: x\r\n\r\n');
    const read = await untilStill(state);
    expect(read).toBeLessThan(40);
    socket.destroy();
    expect(await untilStill(state)).toBeLessThanOrEqual(read + 1);
  });

  it('stops the search when the client disconnects before the first song', async () => {
    const state = { begun: false, chunks: 0 };
    const { promise: may, resolve: go } = Promise.withResolvers<void>();
    const { app, server } = await start({
      chunks: async function* () {
        state.begun = true;
        await may;
        yield* endless(state);
      },
    });
    const left = once(app.server, 'request').then(([, response]) => once(response as ServerResponse, 'close'));
    const socket = await dial(server.url);
    socket.write('GET /songs HTTP/1.1\r\nHost: x\r\n\r\n');
    while (!state.begun) await new Promise((resolve) => setTimeout(resolve, 10));
    socket.destroy();
    await left;
    go();
    expect(await untilStill(state)).toBe(1);
  });

  it('that fails in the middle closes the connection, so that the client does not take it for complete', async () => {
    const { promise: begun, resolve: breakOff } = Promise.withResolvers<void>();
    const { server } = await start({
      chunks: async function* () {
        yield Array.from({ length: 500 }, () => song);
        await begun;
        throw new Error('broken');
      },
    });
    const answer = await fetch(`${server.url}/songs`);
    breakOff();
    await expect(answer.text()).rejects.toThrow();
  });
});
