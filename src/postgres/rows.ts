import pg from 'pg';
import {
  createDriverFactory,
  createPool,
  type DatabasePool,
  type DriverCommand,
  type Interceptor,
  SchemaValidationError,
  SlonikError,
  sql,
} from 'slonik';
import type { Stoppable } from '../lifecycle.ts';
import type { PostgresConnection } from './connection.ts';
import { clientConfig, type DatabaseOptions } from './pool.ts';

export type RowsOptions = Pick<DatabaseOptions, 'name' | 'max' | 'searchPath' | 'queryTimeoutMs'>;

/** A pool that validates rows by the schema of their query. For rows that are used seldom and must be right. */
export type Rows = Pick<DatabasePool, 'maybeOne' | 'query'> & Stoppable;

export async function openRows(connection: PostgresConnection, options: RowsOptions): Promise<Rows> {
  const pool = await createPool('postgres://', {
    driverFactory: driverOf(clientConfig(connection, options)),
    interceptors: [checked],
    maxPoolSize: options.max,
    idleTimeout: 60_000,
    gracefulTerminationTimeout: 1_000,
    // Queries leave no state on a connection, so there is nothing to reset.
    resetConnection: () => Promise.resolve(),
  });
  pool.on('error', () => undefined); // an idle connection broke: the pool has dropped it already
  let stopped: Promise<void> | undefined;
  return {
    maybeOne: (query) => pool.maybeOne(query).catch(rethrow),
    query: (query) => pool.query(query).catch(rethrow),
    stop: () => (stopped ??= pool.end()),
  };
}

/** SQL text of this code, without values, as a part of a query. */
export const fragmentOf = (text: string) => ({ ...sql.fragment``, sql: text });

/** Throws the error of Postgres or of the network instead of slonik's wrapper. */
function rethrow(error: unknown): never {
  throw error instanceof SlonikError && error.cause !== undefined ? error.cause : error;
}

/** Connections with our settings. slonik's own have no deadline on our side, so a network that drops packets would block them for ever. */
function driverOf(config: pg.ClientConfig) {
  return createDriverFactory(() =>
    Promise.resolve({
      createPoolClient({ clientEventEmitter }) {
        const client = new pg.Client(config);
        client.on('error', (error) => clientEventEmitter.emit('error', error));
        return Promise.resolve({
          async connect() {
            await client.connect();
          },
          end: () => client.end(),
          query: (text: string, values?: unknown[]) => run(client, text, values),
          stream() {
            throw new Error('Streaming is not supported.');
          },
        });
      },
    }),
  );
}

async function run(client: pg.Client, text: string, values?: unknown[]) {
  const { command, fields, rowCount, rows } = await client.query<Record<string, unknown>>(text, values);
  const named = fields.map(({ name, dataTypeID }) => ({ name, dataTypeId: dataTypeID }));
  return { command: command as DriverCommand, fields: named, rowCount, rows };
}

const checked: Interceptor = {
  name: 'checked rows',
  transformRow({ resultParser }, query, row) {
    if (!resultParser) return row;
    const parsed = resultParser['~standard'].validate(row);
    if (parsed instanceof Promise) throw new Error('row schemas must be synchronous');
    if (parsed.issues) throw new SchemaValidationError(query, row, parsed.issues);
    return parsed.value as typeof row;
  },
};
