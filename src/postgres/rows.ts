import pg from 'pg';
import {
  createDriverFactory,
  createPool,
  type DatabasePool,
  type DriverCommand,
  type Interceptor,
  SchemaValidationError,
  SlonikError,
} from 'slonik';
import type { Stoppable } from '../lifecycle.ts';
import type { PostgresConnection } from './connection.ts';
import { clientConfig, type DatabaseOptions } from './pool.ts';

export type RowsOptions = Pick<DatabaseOptions, 'name' | 'max' | 'searchPath' | 'queryTimeoutMs'>;

/** A pool whose rows are checked against the schema of their query: for what is written and read seldom, and must be right. */
export type Rows = Pick<DatabasePool, 'maybeOne' | 'query'> & Stoppable;

export async function openRows(connection: PostgresConnection, options: RowsOptions): Promise<Rows> {
  const pool = await createPool('postgres://', {
    driverFactory: driverOf(clientConfig(connection, options)),
    interceptors: [checked],
    maxPoolSize: options.max,
    idleTimeout: 60_000,
    gracefulTerminationTimeout: 1_000,
    // Nothing here leaves anything on a connection.
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

/** Throws what Postgres or the network said, where slonik has put words of its own around it. */
function rethrow(error: unknown): never {
  throw error instanceof SlonikError && error.cause !== undefined ? error.cause : error;
}

/** Connections like all others of ours. slonik's own have no deadline on our side: a black hole would keep them for ever. */
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
            throw new Error('Rows come all at once.');
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
    if (parsed instanceof Promise) throw new Error('rows are checked at once');
    if (parsed.issues) throw new SchemaValidationError(query, row, parsed.issues);
    return parsed.value as typeof row;
  },
};
