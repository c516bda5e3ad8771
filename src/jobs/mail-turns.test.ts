import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { type MigratedTables, migratedTables } from '../../test/support/tables.ts';
import type { Database } from '../postgres/pool.ts';
import { createMailTurns, type TakeMailTurn } from './mail-turns.ts';

const HOUR_MS = 3_600_000;
const TO = 'ann@example.com';

let tables: Database;
let drop: MigratedTables['drop'];
let take: TakeMailTurn;
let jobs = 0;

beforeAll(async () => {
  ({ tables, drop } = await migratedTables());
  take = createMailTurns(tables, { count: 20, seconds: 3_600 });
});
beforeEach(() => tables.query({ text: 'TRUNCATE mail_turns' }));
afterAll(() => drop());

const mail = (account: string, to = TO) => ({ jobId: `job-${++jobs}`, account, to });
const mails = (account: string, count: number, to = TO) => Array.from({ length: count }, () => mail(account, to));
const takeAll = async (asked: readonly ReturnType<typeof mail>[]) => {
  const waits: number[] = [];
  for (const each of asked) waits.push(await take(each));
  return waits;
};
/** Changes the rows as if that time had passed. */
const pass = (ms: number) =>
  tables.query({
    text: `UPDATE mail_turns SET granted_at = granted_at - $1 * interval '1 ms', again_at = again_at - $1 * interval '1 ms'`,
    values: [ms],
  });

it('grants twenty mails an hour, also when all ask at once, and none twice', async () => {
  const asked = mails('a', 25);
  const waits = await Promise.all(asked.map((each) => take(each)));
  expect(waits.filter((ms) => ms === 0)).toHaveLength(20);
  const sent = asked.filter((_, index) => waits[index] === 0);
  expect(await takeAll(sent)).toEqual(sent.map(() => 0));
  expect(await take(mail('a', 'bob@example.com'))).toBe(0);
});

it('says when the next mail gets its turn, and it gets it then', async () => {
  await takeAll(mails('a', 10));
  await pass(600_000);
  await takeAll(mails('a', 10));
  const late = mails('a', 21);
  const waits = await takeAll(late);
  expect(waits[0]! / HOUR_MS).toBeCloseTo(50 / 60, 2);
  expect(waits[10]! / HOUR_MS).toBeCloseTo(1, 2);
  expect(waits[20]! / HOUR_MS).toBeCloseTo(1 + 50 / 60, 2);
  await pass(waits[0]!);
  expect(await take(late[0]!)).toBe(0);
});

it('grants turns to accounts in turn', async () => {
  await takeAll(mails('a', 20));
  const [many, one] = [mails('a', 30), mail('b')];
  await takeAll(many);
  await take(one);
  await pass(HOUR_MS - 1);
  // One turn ends before the others.
  await tables.query({
    text: `UPDATE mail_turns SET granted_at = granted_at + interval '1 minute' WHERE job_id IN
      (SELECT job_id FROM mail_turns WHERE granted_at IS NOT NULL ORDER BY job_id OFFSET 1)`,
  });
  await tables.query({
    text: `UPDATE mail_turns SET granted_at = granted_at - interval '1 second' WHERE granted_at = (SELECT min(granted_at) FROM mail_turns)`,
  });
  expect(await take(many[0]!)).toBeGreaterThan(0);
  expect(await take(one)).toBe(0);
  expect(await take(many[0]!)).toBeGreaterThan(0);
});

it('does not make a job without room ask again at once while earlier jobs have not come for their turns', async () => {
  const granted = mails('a', 20);
  await takeAll(granted);
  const waiting = mails('a', 30);
  await takeAll(waiting);
  await tables.query({
    text: `UPDATE mail_turns SET granted_at = granted_at - interval '2 hours' WHERE job_id = ANY($1)`,
    values: [granted.slice(0, 15).map(({ jobId }) => jobId)],
  });
  const waits = await takeAll(waiting.toReversed());
  expect(waits.slice(0, 15).every((ms) => ms > 1_000_000)).toBe(true);
  expect(waits.slice(15)).toEqual(Array(15).fill(0));
});

it('gives the place of a job that does not come back to the next job', async () => {
  await takeAll(mails('a', 20));
  const [gone, next] = [mail('a'), mail('a')];
  await takeAll([gone, next]);
  await pass(HOUR_MS + 660_000);
  await takeAll(mails('b', 19));
  expect(await take(next)).toBe(0);
});

it('recognises a mailbox in each of its spellings', async () => {
  await takeAll(mails('a', 20, 'Ann+list@Example.com'));
  expect(await take(mail('b'))).toBeGreaterThan(0);
});
