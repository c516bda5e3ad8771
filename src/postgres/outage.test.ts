import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { createDatabase, type TestDatabase } from '../../test/support/servers/index.ts';
import { isConnectionLost, isDatabaseOutage } from './outage.ts';
import { type Database, openDatabase } from './pool.ts';

let server: TestDatabase;
let database: Database;

beforeAll(async () => {
  server = await createDatabase();
  const options = { name: 'outage', max: 2, searchPath: ['public'], queryTimeoutMs: 300 };
  database = openDatabase(server.connection, options);
});
afterAll(async () => {
  await database.stop();
  await server.drop();
});

const coded = (code: string) => Object.assign(new Error(`read ${code}`), { code });
const answered = (code: string) => Object.assign(new pg.DatabaseError('x', 1, 'error'), { code });
/** The error as a use of a connection rejects with it. */
const used = (error: Error) => database.use(() => Promise.reject(error)).catch((thrown: unknown) => thrown);
const thrownBy = (text: string) => database.query({ text }).catch((thrown: unknown) => thrown);

describe('a lost connection', () => {
  it.each(['57P01', '57P02', '57P03', '57P05', '08000', '08003', '08006', '08P01'])(
    'is recognised when the server answers with %s',
    (state) => {
      expect([isConnectionLost(answered(state)), isDatabaseOutage(answered(state))]).toEqual([true, true]);
    },
  );

  it.each([
    'Connection terminated',
    'Connection terminated unexpectedly',
    'Connection terminated due to connection timeout',
    'timeout exceeded when trying to connect',
    'timeout expired',
    'Client has encountered a connection error and is not queryable',
    'Client was closed and is not queryable',
  ])('is recognised when pg reports: %s', (message) => {
    expect([isConnectionLost(new Error(message)), isDatabaseOutage(new Error(message))]).toEqual([true, true]);
  });

  it.each(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH'])(
    'is recognised when a connection in use ends with %s',
    async (code) => {
      expect(isConnectionLost(await used(coded(code)))).toBe(true);
      expect(isConnectionLost(coded(code))).toBe(false); // which may be of another server
    },
  );

  it('is not assumed when a query takes longer than we wait, because the query may be the cause', async () => {
    const error = await thrownBy('SELECT pg_sleep(30)');
    expect(error).toMatchObject({ message: 'Query read timeout' });
    expect([isConnectionLost(error), isDatabaseOutage(error)]).toEqual([false, true]);
  });

  it('is recognised when the server closes the connection in use', async () => {
    expect(isConnectionLost(await thrownBy('SELECT pg_terminate_backend(pg_backend_pid())'))).toBe(true);
    expect(await database.query({ text: 'SELECT 1 AS one' })).toEqual([{ one: 1 }]); // on another connection
  });

  it('is recognised when a connection cannot be prepared', async () => {
    const prepare = () => Promise.reject(coded('ECONNRESET'));
    const broken = openDatabase(server.connection, { name: 'outage', max: 1, searchPath: ['public'], prepare });
    expect(isConnectionLost(await broken.query({ text: 'SELECT 1' }).catch((error: unknown) => error))).toBe(true);
    await broken.stop();
  });
});

it.each(['22001', '23505', '40001', '42P01', '53100', '57014'])(
  'is not assumed when the server answers with %s',
  (state) => {
    expect(isConnectionLost(answered(state))).toBe(false);
  },
);

it.each([new TypeError('x'), new Error('read timeout'), 'Connection terminated', undefined])(
  'is not assumed after %p',
  async (error) => {
    expect(isConnectionLost(error)).toBe(false);
    if (error instanceof Error) expect(isConnectionLost(await used(error))).toBe(false);
  },
);
