import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openmusic } from '../support/processes.ts';
import { freePort } from '../support/ports.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

let database: TestDatabase;
let env: Record<string, string>;

beforeAll(async () => {
  database = await createDatabase();
  const { host, port, user, password, database: name } = database.connection;
  const address = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: name };
  env = { ...address, DATA_DIR: await mkdtemp(path.join(tmpdir(), 'openmusic-command-line-')) };
});
afterAll(async () => {
  await database.drop();
  await rm(env.DATA_DIR!, { recursive: true });
});

describe('openmusic', () => {
  it('prints its version', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await openmusic(['--version'], {})).toEqual({ code: 0, output: `${version}\n` });
  });

  it.each([['accounts'], ['quarantine']])('%s list --json prints a JSON array', async (group) => {
    expect(await openmusic([group, 'list', '--json'], env)).toEqual({ code: 0, output: '[]\n' });
  });

  it.each([
    ['an unknown command', ['nothing'], {}],
    ['an unknown option', ['accounts', 'list', '--yaml'], {}],
    ['a wrong setting', ['accounts', 'list'], { PGPORT: 'many' }],
  ])('exits with 1 after %s', async (_, args, settings) => {
    const { code, output } = await openmusic(args, { ...env, ...settings });
    expect({ code, output }).toEqual({ code: 1, output: expect.stringMatching(/^(error|openmusic): /) });
  });

  it('exits with 1 when a server cannot be reached', async () => {
    const { code, output } = await openmusic(['log', 'verify'], { ...env, PGPORT: String(await freePort()) });
    expect({ code, output }).toEqual({ code: 1, output: expect.stringContaining('Check PGHOST and PGPORT') });
  });

  it('log verify exits with 0 on a sound log, and with 2 when the log has faults', async () => {
    expect(await openmusic(['log', 'verify'], env)).toMatchObject({
      code: 2,
      output: expect.stringContaining('FAULT'),
    });
    expect(await openmusic(['log', 'init'], env)).toMatchObject({ code: 0 });
    expect(await openmusic(['log', 'verify'], env)).toMatchObject({ code: 0 });
  });
});
