import type { ConnectionOptions } from 'node:tls';

/** The address of a PostgreSQL server, and the user and database there. */
export interface PostgresConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Unless given, the connection is not encrypted. */
  readonly ssl?: ConnectionOptions | false;
}
