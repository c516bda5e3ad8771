import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { describeWithNativeKafka } from '../support/servers/index.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/servers/waiting.ts';
import { processesOf, runStack, type StackProcess } from '../support/stack-process.ts';

const TIMEOUT_MS = 240_000;
/** How services are stopped. */
const IN_REVERSE = ['api', 'publisher', 'scheduler', 'worker', 'exporter', 'projector', 'redis', 'postgres', 'kafka'];
const { PATH = '', HOME = '' } = process.env;

let directory: string;
let env: Record<string, string>;
let stack: StackProcess;

/** A PATH with these programs, and no others. */
function pathWith(...programs: string[]): string {
  const folder = mkdtempSync(path.join(directory, 'path-'));
  for (const program of programs) symlinkSync(whereIs(program), path.join(folder, program));
  return folder;
}

function whereIs(program: string): string {
  const folder = PATH.split(path.delimiter).find((each) => existsSync(path.join(each, program)));
  return path.join(folder ?? '/nowhere', program);
}

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'openmusic-stack-'));
  chmodSync(directory, 0o755); // as root, Postgres is run by another user
  // Settings for other servers, as a user may have them. The stack's own settings win.
  writeFileSync(
    path.join(directory, '.env'),
    'NAMESPACE=of_env\nKAFKA_BROKERS=a:1\nKAFKA_SSL=on\nPGHOST=b\nREDIS_SERVER=c\n',
  );
  const ports = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const [PORT, KAFKA_PORT, PGPORT, REDIS_PORT] = ports.map(String) as [string, string, string, string];
  env = { PATH, HOME, DATA_DIR: path.join(directory, 'data'), PORT, KAFKA_PORT, PGPORT, REDIS_PORT };
});

afterEach(async () => {
  stack.kill();
  await nothingRuns();
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const run = (more: Record<string, string> = {}) => (stack = runStack(directory, { ...env, ...more }));

async function nothingRuns(): Promise<void> {
  let left: string[] = [];
  const none = async () => (left = await processesOf(directory)).length === 0;
  await until(none, 60_000, () => `still running:\n${left.join('\n')}`);
}

const urlOf = async () => (await stack.says(/^OpenMusic is ready: (\S+)/m))[1]!;
const namesIn = (output: string, line: RegExp) => [...output.matchAll(line)].map(([, name]) => name);
const stackFile = (name: string) => path.join(directory, 'data', 'stack', name);

interface Answer {
  status: number | undefined;
  albumId: string | undefined;
}

/** A request that the API has begun to serve; the returned function ends it. */
async function beginAlbum(url: string, headers: Record<string, string> = {}): Promise<() => Promise<Answer>> {
  const body = JSON.stringify({ name: 'Parachutes', year: 2000 });
  const about = { 'content-type': 'application/json', 'content-length': body.length, expect: '100-continue' };
  const began = request(`${url}/albums`, { method: 'POST', agent: false, headers: { ...about, ...headers } });
  began.flushHeaders();
  await once(began, 'continue');
  return async () => {
    began.end(body);
    const [answer] = (await once(began, 'response')) as [IncomingMessage];
    const { data } = (await json(answer)) as { data?: { albumId: string } };
    return { status: answer.statusCode, albumId: data?.albumId };
  };
}

const createAlbum = async (url: string, headers?: Record<string, string>) => (await beginAlbum(url, headers))();

async function albumIsThere(url: string, albumId = 'none'): Promise<boolean> {
  const answer = await fetch(`${url}/albums/${albumId}`);
  await answer.text();
  return answer.ok;
}

const isRefused = (url: string) =>
  fetch(`${url}/livez`).then(
    (answer) => answer.text().then(() => false),
    () => true,
  );

describeWithNativeKafka('npm run stack', () => {
  const key = { 'idempotency-key': 'one-in-all-the-lives-of-it' };
  const albums: (string | undefined)[] = [];

  it(
    'starts the services in order, and at Ctrl-C drains them in reverse order',
    async () => {
      run();
      const url = await urlOf();
      expect(url).toBe(`http://localhost:${env.PORT}`);
      expect(namesIn(stack.output(), /^([a-z]+(?: init)?) {2,}\S/gm)).toEqual([
        ...[
          'kafka',
          'postgres',
          'redis',
          'log init',
          'projector',
          'exporter',
          'worker',
          'scheduler',
          'publisher',
          'api',
        ],
      ]);
      for (const port of ['KAFKA_PORT', 'PGPORT', 'REDIS_PORT'])
        expect(stack.output()).toMatch(`127.0.0.1:${env[port]}`);
      expect(existsSync(stackFile('kafka/data/of_env.catalog-0'))).toBe(true);
      albums.push((await createAlbum(url, key)).albumId);

      const end = await beginAlbum(url);
      stack.pressCtrlC();
      await until(
        () => isRefused(url),
        60_000,
        () => 'the API still listens',
      );
      const last = await end();
      expect(last.status).toBe(201);
      albums.push(last.albumId);
      expect(await stack.ended).toBe(0);
      await nothingRuns();
      expect(namesIn(stack.output(), /^(\w+) is stopped/gm)).toEqual(IN_REVERSE);
      expect(existsSync(stackFile('kafka/data/.kafka_cleanshutdown'))).toBe(true);
      expect(readFileSync(stackFile('logs/projector.log'), 'utf8')).toContain('"SIGTERM: stopping"');
    },
    TIMEOUT_MS,
  );

  it(
    'keeps its data, works without Redis, refuses a second stack, and leaves nothing running after kill -9',
    async () => {
      run({ PATH: pathWith('java', 'sh') });
      const url = await urlOf();
      expect(stack.output()).toMatch(/^redis {6}nothing is cached.*no redis-server on the PATH$/m);
      expect(await Promise.all(albums.map((id) => albumIsThere(url, id)))).toEqual([true, true]);
      expect(await createAlbum(url, key)).toEqual({ status: 201, albumId: albums[0] });

      const second = runStack(directory, env);
      expect(await second.ended).toBe(1);
      expect(second.output()).toMatch(/^openmusic: \S+ is in use by another stack \(pid \d+\): .*\n$/);

      stack.kill();
      expect(await stack.ended).toBe('SIGKILL');
      await nothingRuns();
    },
    TIMEOUT_MS,
  );

  it(
    'starts after a kill -9, and ends with the name and the last words of a service that dies',
    async () => {
      run();
      const url = await urlOf();
      expect(await Promise.all(albums.map((id) => albumIsThere(url, id)))).toEqual([true, true]);
      process.kill(await stack.pidOf('projector'), 'SIGKILL');
      expect(await stack.ended).toBe(1);
      expect(stack.output()).toMatch(
        /^openmusic: projector ended by itself \(SIGKILL\). The end of \S+projector.log:\n\{/m,
      );
      expect(namesIn(stack.output(), /^(\w+) is stopped/gm)).toEqual(IN_REVERSE);
      await nothingRuns();
    },
    TIMEOUT_MS,
  );

  it(
    'ends at once at a second Ctrl-C, also during a start that does not proceed',
    async () => {
      run();
      await stack.says(/^redis /m);
      process.kill(await stack.pidOf('kafka'), 'SIGSTOP');
      const pressed = async () => {
        stack.pressCtrlC();
        return Promise.race([
          stack.ended.then(() => true),
          new Promise<false>((resolve) => setImmediate(resolve, false)),
        ]);
      };
      await until(pressed, 60_000, () => `it goes on:\n${stack.output()}`);
      expect(await stack.ended).toBe(130);
      await nothingRuns();
    },
    TIMEOUT_MS,
  );
});

describe('npm run stack reports in one line', () => {
  const refusal = async (more: Record<string, string>) => {
    run({ DATA_DIR: path.join(directory, 'other'), ...more });
    expect(await stack.ended).toBe(1);
    expect(stack.output()).toMatch(/^openmusic: .*\n$/);
    return stack.output();
  };

  it('a missing program, and how to install it', async () => {
    expect(await refusal({ PATH: pathWith('sh') })).toMatch(/not on the PATH: Java 17 or later \(.*apt install/);
  });

  it('an invalid setting', async () => {
    expect(await refusal({ KAFKA_PORT: 'many' })).toMatch(/KAFKA_PORT: /);
  });
});

describeWithNativeKafka('npm run stack reports in one line', () => {
  it('a port that is in use, or configured twice', async () => {
    const taken = createServer().listen(Number(env.KAFKA_PORT), '127.0.0.1');
    await once(taken, 'listening');
    run({ DATA_DIR: path.join(directory, 'other'), REDIS_PORT: env.PORT! });
    expect(await stack.ended).toBe(1);
    taken.close();
    expect(stack.output()).toBe(
      `openmusic: port ${env.KAFKA_PORT} of 127.0.0.1 is in use: stop the program that has it, or set KAFKA_PORT to another one; ` +
        `PORT and REDIS_PORT are both ${env.PORT}\n`,
    );
  });
});
