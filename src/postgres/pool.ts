import pg from 'pg';
import type { Stoppable } from '../lifecycle.ts';
import type { PostgresConnection } from './connection.ts';

/** A connection taken from a pool, or any other that runs queries. */
export type Client = pg.ClientBase;

export interface DatabaseOptions {
  /** The application name in pg_stat_activity. */
  readonly name: string;
  readonly max: number;
  /** Milliseconds after which an unused connection is closed; 0 for never. */
  readonly idleTimeoutMs?: number;
  /** Schemas. The first one is written to. */
  readonly searchPath: readonly string[];
  /** Milliseconds after which a query fails on our side, even if the server does not respond. */
  readonly queryTimeoutMs?: number;
  /** Runs on each new connection before its first use. When it rejects, the connection is closed and the use fails. */
  readonly prepare?: (client: Client) => Promise<void>;
}

const withoutConnection = new WeakSet<Error>();

/** Whether a use of a pool failed before it had a connection: none was free in time, or none could be opened. */
export const hadNoConnection = (error: unknown): boolean => Error.isError(error) && withoutConnection.has(error);

function noConnection(error: unknown): never {
  if (Error.isError(error)) withoutConnection.add(error);
  throw error;
}

const whileConnected = new WeakSet<Error>();

/** Whether the error ended a use of a pool's connection. It distinguishes a network error from one of another server. */
export const wasConnected = (error: unknown): boolean => Error.isError(error) && whileConnected.has(error);

/** A pool. No query runs on a connection before it was prepared, and no connection is used again after a failure. */
export interface Database extends Stoppable {
  use<T>(work: (client: Client) => Promise<T>): Promise<T>;
  query<Row extends pg.QueryResultRow>(query: pg.QueryConfig): Promise<Row[]>;
}

/** SQLSTATE of an error that the server reported; undefined for a broken connection or a deadline. */
export const sqlState = (error: unknown): string | undefined =>
  error instanceof pg.DatabaseError ? error.code : undefined;

/** Whether the server reported the error and kept the connection open. It closes one after every FATAL error. */
const isAnswer = (error: unknown): boolean => error instanceof pg.DatabaseError && error.severity !== 'FATAL';

/** The constraint that a refused row violates. */
export const constraintOf = (error: unknown): string | undefined =>
  error instanceof pg.DatabaseError ? error.constraint : undefined;

/**
 * Prepared statements are planned once, because planning the verdict query each time took longer than running it. Many are planned
 * while their tables are empty, when a sequential scan looks cheapest, and such a plan remains: at 50,000 events it had tripled the
 * time of a write. All of them find their rows by an index, so only such plans are allowed.
 */
const BY_KEY = [
  '-c plan_cache_mode=force_generic_plan',
  ...['seqscan', 'hashjoin', 'mergejoin'].map((way) => `-c enable_${way}=off`),
].join(' ');

/** Settings of pools and single connections: int8 as a number, deadlines on our side, keepalive, and plans. */
export function clientConfig(
  connection: PostgresConnection,
  { name, searchPath, queryTimeoutMs = 10_000 }: Omit<DatabaseOptions, 'max' | 'prepare'>,
): pg.ClientConfig {
  return {
    ...connection,
    application_name: name,
    connectionTimeoutMillis: 3_000,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    options: `-c search_path=${searchPath.map((schema) => `"${schema}"`).join(',')} -c timezone=UTC -c cursor_tuple_fraction=1 ${BY_KEY}`,
    types: { getTypeParser },
  };
}

type ParserOf = (oid: number, format?: 'text' | 'binary') => (value: string) => unknown;
const INT8 = 20;
const defaultParser = pg.types.getTypeParser as ParserOf;
const getTypeParser: ParserOf = (oid, format) => (oid === INT8 ? Number : defaultParser(oid, format));

export function openDatabase(connection: PostgresConnection, options: DatabaseOptions): Database {
  const pool = new pg.Pool({
    ...clientConfig(connection, options),
    max: options.max,
    idleTimeoutMillis: options.idleTimeoutMs ?? 60_000,
  });
  pool.on('error', () => undefined); // an idle connection broke; the pool has removed it already
  // A broken connection rejects the query that runs on it. Without a listener its own event would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const prepared = new WeakSet<Client>();

  async function take(): Promise<pg.PoolClient> {
    const client = await pool.connect().catch(noConnection);
    if (prepared.has(client)) return client;
    try {
      await options.prepare?.(client);
    } catch (error) {
      client.release(true);
      return noConnection(error);
    }
    prepared.add(client);
    return client;
  }

  async function use<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const client = await take();
    let usable = false;
    try {
      const result = await work(client);
      usable = true;
      return result;
    } catch (error) {
      usable = isAnswer(error); // any other error may have left half of an answer on it, or closed it
      if (!usable && Error.isError(error)) whileConnected.add(error);
      throw error;
    } finally {
      client.release(!usable);
    }
  }

  let stopped: Promise<void> | undefined;
  return {
    use,
    query: async <Row extends pg.QueryResultRow>(query: pg.QueryConfig) =>
      (await use((client) => client.query<Row>(query))).rows,
    stop: () => (stopped ??= pool.end()),
  };
}

/** Runs `work` between BEGIN and COMMIT, and rolls back when it rejects. An error of COMMIT itself may hide a success. */
export async function transaction<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
