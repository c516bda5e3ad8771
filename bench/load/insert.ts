import pg from 'pg';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { closedLoop, type LoadResult, measure, type Window } from './meter.ts';

export interface InsertLoad extends Window {
  readonly kind: 'insert';
  readonly connection: PostgresConnection;
  readonly workers: number;
}

/** More connections do not make a Postgres on two cores faster, and it allows only a hundred. */
const CONNECTIONS = 48;

const TABLE = `CREATE SCHEMA IF NOT EXISTS bench;
  CREATE TABLE IF NOT EXISTS bench.rows (id uuid PRIMARY KEY, name text NOT NULL, year int NOT NULL)`;
const INSERT = {
  name: 'insert',
  text: 'INSERT INTO bench.rows VALUES (uuidv7(), $1, $2)',
  values: ['Viva la Vida', 2008],
};

/** One row, one statement, one commit that waits for the disk. */
export async function loadInsert({ connection, workers, ...window }: InsertLoad): Promise<LoadResult> {
  const pool = new pg.Pool({ ...connection, max: Math.min(workers, CONNECTIONS) });
  try {
    await pool.query(TABLE);
    return await measure(
      window,
      closedLoop(workers, () => pool.query(INSERT)),
    );
  } finally {
    await pool.end();
  }
}
