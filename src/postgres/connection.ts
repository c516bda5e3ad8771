import type { ConnectionOptions } from 'node:tls';

/** Where a PostgreSQL server is reached and as whom. */
export interface PostgresConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Not encrypted unless it is given. */
  readonly ssl?: ConnectionOptions | false;
}
