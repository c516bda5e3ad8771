import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { declareVoid, readVoidTest, voidsOf } from '../../src/log/voids.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { type Database, openDatabase } from '../../src/postgres/pool.ts';
import { createDatabase, namespace, type TestDatabase } from '../support/servers/index.ts';

let postgres: TestDatabase;
let database: Database;

beforeAll(async () => {
  postgres = await createDatabase();
  const { connection } = postgres;
  const name = namespace();
  await migrate({ connection, namespace: name });
  database = openDatabase(connection, { name: 'test', max: 2, searchPath: [name] });
});
afterAll(async () => {
  await database.stop();
  await postgres.drop();
});

it('a position is declared void once, and keeps the first reason', async () => {
  const position = { topic: 't', partition: 1, offset: 7 };
  expect(await declareVoid(database, position, 'a disk lied')).toBe(true);
  expect(await declareVoid(database, position, 'another reason')).toBe(false);
  const declared = { ...position, last: 7, reason: 'a disk lied', declaredAt: expect.any(Date) };
  expect(await voidsOf(database)).toEqual([declared]);
});

it('a void is extended by a longer one from the same offset, and several cover a span together', async () => {
  const at = (offset: number, last?: number) => ({ topic: 'longer', partition: 0, offset, last });
  await declareVoid(database, at(3, 4), 'a gap');
  expect((await readVoidTest(database))(at(3, 9))).toBe(false);
  expect(await declareVoid(database, at(3, 6), 'it has grown')).toBe(true);
  await declareVoid(database, at(7, 9), 'the rest');
  const isVoid = await readVoidTest(database);
  expect([at(3, 9), at(5), at(3, 10), at(2), at(10)].map(isVoid)).toEqual([true, true, false, false, false]);
  await database.query({ text: `DELETE FROM log_voids WHERE topic = 'longer'` });
});

it('voids are found by partition, in the order of the log', async () => {
  for (const offset of [10, 9]) await declareVoid(database, { topic: 't', partition: 2, offset }, 'why');
  const found = await voidsOf(database, [{ topic: 't', partition: 2 }, { topic: 'u', partition: 1 }]); // prettier-ignore
  expect(found.map(({ partition, offset }) => [partition, offset])).toEqual([[2, 9], [2, 10]]); // prettier-ignore
  expect(await voidsOf(database, [])).toEqual([]);
  expect(await voidsOf(database)).toHaveLength(3);
});
