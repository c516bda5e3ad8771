import { reasonOf } from '../errors.ts';
import { whyUnreachable } from '../unreachable.ts';
import type { PostgresConnection } from './connection.ts';
import { sqlState } from './pool.ts';

/** The error of a first connection as one line that says what to check; any other error unchanged. */
export function explainPostgres(error: unknown, connection: PostgresConnection): unknown {
  const line = lineOf(error, connection);
  return line === undefined ? error : new Error(line, { cause: error });
}

function lineOf(error: unknown, connection: PostgresConnection): string | undefined {
  const address = `${connection.host}:${connection.port}`;
  const refusal = REFUSALS[sqlState(error) ?? ''];
  if (refusal) return `Postgres at ${address} ${refusal(connection, reasonOf(error))}`;
  const settings = { where: 'PGHOST and PGPORT', tls: 'PGSSLMODE and PGSSLROOTCERT' };
  return whyUnreachable(error, { service: 'Postgres', address, ...settings });
}

type Refusal = (connection: PostgresConnection, reason: string) => string;

const busy: Refusal = (_, reason) => `takes no connection at present: ${reason}.`;

/** The server's reasons to refuse a connection, by SQLSTATE. */
const REFUSALS: Readonly<Record<string, Refusal>> = {
  '28P01': ({ user }) => `refused the password of user ${user}. Check PGUSER and PGPASSWORD.`,
  '28000': ({ user }, reason) => `refused user ${user}: ${reason}. Check PGUSER, PGDATABASE and PGSSLMODE.`,
  '3D000': ({ database }) => `has no database ${database}. Check PGDATABASE.`,
  '53300': busy,
  '57P03': busy,
};
