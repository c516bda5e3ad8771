import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createDatabase, namespace, type TestDatabase } from '../../test/support/servers/index.ts';
import { migrate } from '../postgres/migrate.ts';
import { type Database, openDatabase } from '../postgres/pool.ts';
import { createStoredFiles, type StoredFiles } from './stored-files.ts';

const MOST = 1_000;
const FULL = { kind: 'too-many', code: 'TOO_MUCH_STORED' };

let server: TestDatabase;
let tables: Database;
let files: StoredFiles;

beforeAll(async () => {
  server = await createDatabase();
  const name = namespace();
  await migrate({ connection: server.connection, namespace: name });
  tables = openDatabase(server.connection, { name: 'stored', max: 8, searchPath: [name, 'public'] });
  files = createStoredFiles(tables, MOST);
});
afterAll(async () => {
  await tables.stop();
  await server.drop();
});

it('takes files of an account up to the limit, however many come at once, and those of others beside them', async () => {
  const claims = Array.from({ length: 30 }, (_, n) => files.claim({ name: `reports/a${n}`, account: 'a', bytes: 100 }));
  const others = files.claim({ name: 'reports/b', account: 'b', bytes: MOST });
  const outcomes = await Promise.allSettled(claims);
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
  await others;
  await expect(files.mustHaveRoom('a', 0)).rejects.toMatchObject({
    ...{ ...FULL, message: 'Your files take 1000 bytes; they may take 1000.' },
  });
});

it('counts a file once, as large as it is now', async () => {
  await files.claim({ name: 'exports/c', account: 'c', bytes: 900 });
  await files.claim({ name: 'exports/c', account: 'c', bytes: 950 });
  await expect(files.mustHaveRoom('c', 51)).rejects.toMatchObject(FULL);
  await files.mustHaveRoom('c', 50);
});

it('has room again for what is deleted', async () => {
  await files.claim({ name: 'archives/d', account: 'd', bytes: MOST });
  await expect(files.claim({ name: 'archives/e', account: 'd', bytes: 1 })).rejects.toMatchObject(FULL);
  await files.forget(['archives/d', 'archives/unknown']);
  await files.claim({ name: 'archives/e', account: 'd', bytes: MOST });
});

it('forgets files of jobs that are too old to be there, and no covers', async () => {
  await files.claim({ name: 'archives/f', account: 'f', bytes: 400 });
  await files.claim({ name: 'covers/f', account: 'f', bytes: 600 });
  await tables.query({ text: `UPDATE stored_files SET stored_at = now() - interval '2 s' WHERE account_id = 'f'` });
  await files.forgetOld(1_000);
  await files.mustHaveRoom('f', 400);
  await expect(files.mustHaveRoom('f', 401)).rejects.toMatchObject(FULL);
});
