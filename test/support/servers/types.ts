import type { PostgresConnection } from '../../../src/postgres/connection.ts';

/** Why there is no server, for the names of the skipped tests. */
export interface Skip {
  skip: string;
}

export interface KafkaAddress {
  brokers: string[];
}

export interface RedisAddress {
  url: string;
}

/** A database server, and the database on it that `createDatabase` clones. */
export interface PostgresAddress {
  connection: PostgresConnection;
  template: string;
}

/** OpenMusic in the embedded shape. */
export interface AppAddress {
  url: string;
}

export type Way = 'env' | 'docker' | 'native';

/** The offer of global-setup, as the test files get it. A server starts when a test file first demands it. */
export interface Servers {
  /** Unix socket of the process that starts servers. */
  socketPath: string;
  /** The address of the server. */
  kafka: KafkaAddress | Skip;
  redis: RedisAddress | Skip;
  how: { kafka: Way | 'none'; redis: Way | 'none'; postgres: Way };
  /** Whether a test file can start servers of its own, to kill or freeze them; a text gives the reason why not. */
  native: { kafka: true | string; redis: true | string };
}

/** The result of each demand. */
export interface Demands {
  kafka: KafkaAddress;
  redis: RedisAddress;
  postgres: PostgresAddress;
  app: AppAddress;
}

/** A server process that a test may break. */
export interface NativeServer {
  readonly pid: number;
  /** Ends it, and removes the data in its own directory. Calling it twice is allowed. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open, and it answers nothing. */
  freeze(): Promise<void>;
  /** SIGCONT. */
  thaw(): Promise<void>;
  /** Starts a new process on the same data and port; the old one may still run. */
  restart(): Promise<void>;
}
