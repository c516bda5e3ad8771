import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import pg from 'pg';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { createClient } from '../support/client.ts';
import { describeDistributed, startDistributed } from '../support/distributed.ts';
import { checkServed, type Load, recordHistory } from '../support/history/index.ts';
import { eventually, linesOf } from '../support/observed.ts';
import { type OpenMusicProcess, startProcess } from '../support/processes.ts';
import { type NativePostgres, startNativePostgres } from '../support/servers/index.ts';
import { describeWithSmallDisk, type SmallDisk } from '../support/small-disk.ts';

const MEGABYTES = 160;
const MORE = { writes: 20, reads: 20 };
const WITHIN_MS = 60_000;

describeWithSmallDisk('a full disk of Postgres', (startDisk) => {
  let disk: SmallDisk;
  const undo: (() => Promise<unknown>)[] = [];
  beforeEach(async () => {
    disk = await startDisk(MEGABYTES);
    undo.push(() => disk.stop());
  });
  afterEach(async () => {
    for (const each of undo.splice(0).reverse()) await each();
  });

  /** Fills the disk until the expected error is reported, then frees it. Reads continue all the while. */
  async function fillForAWhile(load: Load, { url }: OpenMusicProcess, isSaid: () => boolean): Promise<void> {
    await disk.fill();
    await eventually('the full disk is reported', isSaid, WITHIN_MS);
    expect((await createClient(url).get('/songs')).status).toBe(200);
    await disk.clear();
    await load.served(MORE, WITHIN_MS);
  }

  it('makes the embedded shape refuse writes, not reads, until there is room', async () => {
    const dataDir = path.join(disk.path, 'data');
    const env = { DATA_DIR: dataDir, PARTITIONS: '2' };
    const app = await startProcess({ env });
    undo.push(() => app.end('SIGTERM'));
    await beginWalFile(await connectionIn(dataDir));
    const history = await recordHistory({ urls: [app.url] }, async (load) => {
      await load.served(MORE, WITHIN_MS);
      const refused = () =>
        linesOf(app, 'a request could not be served').filter(({ code }) => code === 'LOG_UNAVAILABLE');
      await fillForAWhile(load, app, () => refused().some(({ cause }) => isNoSpace(cause)));
      await disk.fill();
      await beginWalFile(await connectionIn(dataDir)).catch(() => undefined);
      await eventually('Postgres does not start', () => linesOf(app, 'Postgres does not start').length > 0);
      await disk.clear();
      await load.served(MORE, WITHIN_MS);
    });
    expect(await checkServed(history, { env, urls: [app.url] })).toEqual([]);
  }, 120_000);

  describeDistributed('in the distributed shape', () => {
    let postgres: NativePostgres;
    beforeEach(async () => {
      postgres = await startNativePostgres({ dir: path.join(disk.path, 'postgres') });
      undo.push(() => postgres.stop());
    });

    it('refuses writes, not reads; requests fail after a crash of Postgres until it is back', async () => {
      const { connection } = postgres;
      const system = await startDistributed({ connection, env: { VERDICT_WAIT_SECONDS: '1' } });
      undo.push(() => system.stop());
      const [api, projector] = [system.apis[0]!, system.projectors[0]!];
      await beginWalFile(connection);
      const history = await recordHistory({ urls: [api.url] }, async (load) => {
        await load.served(MORE, WITHIN_MS);
        await fillForAWhile(load, api, () => isNoSpace(projector.output()));
        await disk.fill();
        await beginWalFile(connection).catch(() => undefined);
        // A request in progress while Postgres crashes loses its connection.
        const read = () =>
          createClient(api.url)
            .get('/songs')
            .catch(() => undefined);
        await eventually('reads are refused', async () => (await read())?.status === 503);
        await disk.clear();
        await postgres.restart();
        await load.served(MORE, WITHIN_MS);
      });
      expect(await checkServed(history, { env: system.env, urls: [api.url] })).toEqual([]);
    }, 180_000);
  });
});

const isNoSpace = (text: unknown): boolean => String(text).includes('No space left on device');

/** Starts a new WAL file of Postgres, of 16 MB, so that it is tables that find no room. */
async function beginWalFile(connection: PostgresConnection): Promise<void> {
  const client = new pg.Client(connection);
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('SELECT pg_switch_wal()');
    await client.query('CREATE TABLE in_the_new_file (); DROP TABLE in_the_new_file');
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Connects to the server that a process runs on its data. */
async function connectionIn(dataDir: string): Promise<PostgresConnection> {
  const read = async (...file: string[]) => (await readFile(path.join(dataDir, ...file), 'utf8')).trim();
  const port = Number((await read('postgres', 'postmaster.pid')).split('\n')[3]);
  const password = await read('postgres-password');
  return { host: '127.0.0.1', port, user: 'openmusic', password, database: 'openmusic' };
}
