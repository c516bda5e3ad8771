import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freePort } from '../support/ports.ts';
import { createClient } from '../support/client.ts';
import { describeWithNativeKafka } from '../support/servers/index.ts';
import { runStack, type StackProcess } from '../support/stack-process.ts';

const TIMEOUT_MS = 240_000;

/** The whole stack once; test/integration/stack tests its details. */
describeWithNativeKafka('npm run stack', () => {
  let directory: string;
  let stack: StackProcess;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'openmusic-stack-'));
    await chmod(directory, 0o755); // as root Postgres runs as another user
  });
  afterAll(async () => {
    stack.kill();
    await stack.ended;
    await rm(directory, { recursive: true });
  });

  test(
    'serves a write, and exits with 0 at Ctrl-C',
    async () => {
      const { PATH = '', HOME = '' } = process.env;
      const ports = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
      const [PORT, KAFKA_PORT, PGPORT, REDIS_PORT] = ports.map(String) as [string, string, string, string];
      const env = { PATH, HOME, DATA_DIR: path.join(directory, 'data'), PORT, KAFKA_PORT, PGPORT, REDIS_PORT };
      stack = runStack(directory, env);
      const [, url = ''] = await stack.says(/^OpenMusic is ready: (\S+)/m);
      const { get, post } = createClient(url);
      const { status, body } = await post('/albums', { name: 'Parachutes', year: 2000 });
      expect(status).toBe(201);
      expect((await get(`/albums/${body?.data?.albumId}`)).body?.data?.album?.name).toBe('Parachutes');
      stack.pressCtrlC();
      expect(await stack.ended).toBe(0);
    },
    TIMEOUT_MS,
  );
});
