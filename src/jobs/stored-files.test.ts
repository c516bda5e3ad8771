import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type MigratedTables, migratedTables } from '../../test/support/tables.ts';
import type { Database } from '../postgres/pool.ts';
import { createStoredFiles, type StoredFiles } from './stored-files.ts';

const MAX_BYTES = 1_000;
const FULL = { kind: 'too-many', code: 'TOO_MUCH_STORED' };

let tables: Database;
let drop: MigratedTables['drop'];
let files: StoredFiles;

beforeAll(async () => {
  ({ tables, drop } = await migratedTables());
  files = createStoredFiles(tables, MAX_BYTES);
});
afterAll(() => drop());

it('accepts files of an account up to the limit when many come at once, and those of other accounts', async () => {
  const claims = Array.from({ length: 30 }, (_, n) => files.claim({ name: `reports/a${n}`, account: 'a', bytes: 100 }));
  const others = files.claim({ name: 'reports/b', account: 'b', bytes: MAX_BYTES });
  const outcomes = await Promise.allSettled(claims);
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
  await others;
  await expect(files.mustHaveRoom('a', 0)).rejects.toMatchObject({
    ...FULL,
    message: 'Your files take 1000 bytes; they may take 1000.',
  });
});

it('counts a file once, with its current size', async () => {
  await files.claim({ name: 'exports/c', account: 'c', bytes: 900 });
  await files.claim({ name: 'exports/c', account: 'c', bytes: 950 });
  await expect(files.mustHaveRoom('c', 51)).rejects.toMatchObject(FULL);
  await files.mustHaveRoom('c', 50);
});

it('frees the room of deleted files', async () => {
  await files.claim({ name: 'archives/d', account: 'd', bytes: MAX_BYTES });
  await expect(files.claim({ name: 'archives/e', account: 'd', bytes: 1 })).rejects.toMatchObject(FULL);
  await files.forget(['archives/d', 'archives/unknown']);
  await files.claim({ name: 'archives/e', account: 'd', bytes: MAX_BYTES });
});

it('removes files of old jobs, and no covers', async () => {
  await files.claim({ name: 'archives/f', account: 'f', bytes: 400 });
  await files.claim({ name: 'covers/f', account: 'f', bytes: 600 });
  await tables.query({ text: `UPDATE stored_files SET stored_at = now() - interval '2 s' WHERE account_id = 'f'` });
  await files.forgetOld(1_000);
  await files.mustHaveRoom('f', 400);
  await expect(files.mustHaveRoom('f', 401)).rejects.toMatchObject(FULL);
});

/** Makes claims in two processes at the same time, and returns what is counted after them. */
const processes = () => [createStoredFiles(tables, MAX_BYTES), createStoredFiles(tables, MAX_BYTES)] as const;
const counted = async (account: string) => {
  const [row] = await tables.query<{ counted: number; files: number }>({
    text: `SELECT s.bytes AS counted, (SELECT coalesce(sum(bytes), 0)::bigint FROM stored_files f WHERE f.account_id = s.account_id) AS files
      FROM stored_bytes s WHERE s.account_id = $1`,
    values: [account],
  });
  return row;
};

it('counts a file once when two processes claim it at the same time', async () => {
  for (let round = 0; round < 20; round++) {
    const file = { name: `reports/twice-${round}`, account: `twice-${round}`, bytes: 600 };
    await Promise.all(processes().map((each) => each.claim(file)));
    expect(await counted(file.account)).toEqual({ counted: 600, files: 600 });
  }
});

it('counts correctly when several processes claim and remove at the same time', async () => {
  const accounts = ['g', 'h', 'i'];
  const names = accounts.flatMap((account) => [1, 2, 3].map((n) => ({ account, name: `exports/${account}${n}` })));
  for (let round = 0; round < 20; round++) {
    const [one, other] = processes();
    await Promise.all([
      ...names.map(({ name, account }) => one.claim({ name, account, bytes: 10 + round })),
      ...names.toReversed().map(({ name, account }) => other.claim({ name, account, bytes: 20 + round })),
      other.forget(names.map(({ name }) => name)),
      one.forget(names.map(({ name }) => name).toReversed()),
    ]);
  }
  for (const account of accounts) {
    const sums = await counted(account);
    expect(sums?.counted).toBe(sums?.files);
  }
});

it('removes claims whose files were never stored, with covers, and looks for each file until it is found', async () => {
  for (const name of ['covers/lost', 'reports/lost', 'covers/kept', 'covers/young'])
    await files.claim({ name, account: 'j', bytes: 100 });
  await tables.query({
    text: `UPDATE stored_files SET stored_at = now() - interval '2 s' WHERE account_id = 'j' AND name <> 'covers/young'`,
  });
  const looked: string[] = [];
  const isThere = (name: string) => Promise.resolve(looked.push(name) > 0 && name === 'covers/kept');
  for (let n = 0; n < 2; n++) await files.forgetLost(1_000, isThere);
  expect(looked.filter((name) => name.endsWith('lost') || name === 'covers/kept').sort()).toEqual([
    ...['covers/kept', 'covers/lost', 'reports/lost'],
  ]);
  expect(await counted('j')).toEqual({ counted: 200, files: 200 });
});

it('stops looking at a signal, and keeps what it has found', async () => {
  for (const name of ['reports/1', 'reports/2', 'reports/3']) await files.claim({ name, account: 'k', bytes: 100 });
  const stopping = new AbortController();
  const looked: string[] = [];
  const isThere = (name: string) => (looked.push(name), stopping.abort(), Promise.resolve(false));
  await tables.query({ text: `UPDATE stored_files SET stored_at = now() - interval '1 hour' WHERE account_id = 'k'` });
  await files.forgetLost(1_800_000, isThere, stopping.signal);
  await files.forgetLost(1_800_000, isThere, stopping.signal);
  expect(looked).toHaveLength(1);
  expect(await counted('k')).toEqual({ counted: 200, files: 200 });
});
