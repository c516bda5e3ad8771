import assert from 'node:assert/strict';
import { KEY_NAMES } from '../../src/keys.ts';
import { createClient } from '../support/client.ts';
import { type ComposeProject, createProject, run } from './project.ts';

/**
 * `npm run test:compose`: starts docker-compose.yml with no environment at all, runs the end-to-end suite against it,
 * checks that it does not accept other machines with the publicly known keys, and that it stops and comes back with its
 * data. Removes all of it, also when a step fails. The exit code is 0 only when every step passed.
 */
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(new Error(name)));

const project = createProject(interrupted.signal);
try {
  await test(project);
} catch (error) {
  process.exitCode = 1;
  if (!interrupted.signal.aborted) await project.show().catch(complain);
  complain(error);
} finally {
  await project.remove().catch((error: unknown) => {
    process.exitCode = 1;
    complain(error);
  });
}
say(process.exitCode === undefined ? 'all is well' : 'FAILED');

async function test(compose: ComposeProject): Promise<void> {
  await step(`${compose.name} starts`, () => compose.up());
  await step('the end-to-end suite', () => endToEnd(compose));
  await step('known keys are refused where others reach it', () => refusesKnownKeys(compose));
  const album = await createAlbum(compose);
  await step('SIGTERM', () => stopsWell(compose));
  await step('a second start on the same volumes', async () => {
    await compose.removeContainers();
    await compose.up();
    assert.equal(await nameOf(compose, album), 'Kept');
  });
}

/**
 * Runs one file at a time, because the files would count each other's songs. The servers are named only for jest's own
 * setup.
 */
async function endToEnd({ url, servers }: ComposeProject): Promise<void> {
  const env = { ...servers, BASE_URL: url, TEST_SERVERS: 'env' };
  await run('npm', ['test', '--', '--runInBand', 'test/e2e'], env, interrupted.signal);
}

async function refusesKnownKeys(compose: ComposeProject): Promise<void> {
  const open: readonly Record<string, string>[] = [{ BIND: '0.0.0.0' }, { NODE_ENV: 'production' }];
  for (const settings of open) {
    const { code, output } = await compose.startWith(settings);
    assert.equal(code, 1);
    for (const name of [...KEY_NAMES, 'PGPASSWORD'])
      assert.match(output, new RegExp(`${name}: must not be the one of`));
  }
}

/** A process that was killed because it did not end in time has another exit code. */
async function stopsWell(compose: ComposeProject): Promise<void> {
  const roles = { api: 0, projector: 0, exporter: 0, worker: 0, scheduler: 0, publisher: 0 };
  assert.deepEqual(await compose.stop(...Object.keys(roles)), roles);
}

async function createAlbum({ url }: ComposeProject): Promise<string> {
  const { status, body } = await createClient(url).post('/albums', { name: 'Kept', year: 2026 });
  assert.equal(status, 201);
  return body?.data?.albumId ?? '';
}

async function nameOf({ url }: ComposeProject, id: string): Promise<string | undefined> {
  return (await createClient(url).get(`/albums/${id}`)).body?.data?.album?.name;
}

async function step(name: string, work: () => Promise<void>): Promise<void> {
  const begin = performance.now();
  say(name);
  await work();
  say(`${name}: ${Math.round((performance.now() - begin) / 1000)} s`);
}

function say(line: string): void {
  process.stdout.write(`== ${line}\n`);
}

function complain(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
}
