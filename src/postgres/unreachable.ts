import { reasonOf } from '../errors.ts';
import { whyUnreachable } from '../unreachable.ts';
import type { PostgresConnection } from './connection.ts';
import { sqlState } from './pool.ts';

/** The error of a first connection in one line that says what to check; any other error as it is. */
export function explainPostgres(error: unknown, connection: PostgresConnection): unknown {
  const line = lineOf(error, connection);
  return line === undefined ? error : new Error(line, { cause: error });
}

function lineOf(error: unknown, { host, port, user, database }: PostgresConnection): string | undefined {
  const address = `${host}:${port}`;
  const server = `Postgres at ${address}`;
  switch (sqlState(error)) {
    case '28P01':
      return `${server} refused the password of user ${user}. Check PGUSER and PGPASSWORD.`;
    case '28000':
      return `${server} refused user ${user}: ${reasonOf(error)}. Check PGUSER, PGDATABASE and PGSSLMODE.`;
    case '3D000':
      return `${server} has no database ${database}. Check PGDATABASE.`;
    case '57P03':
    case '53300':
      return `${server} takes no connection at present: ${reasonOf(error)}.`;
  }
  const settings = { where: 'PGHOST and PGPORT', tls: 'PGSSLMODE and PGSSLROOTCERT' };
  return whyUnreachable(error, { service: 'Postgres', address, ...settings });
}
