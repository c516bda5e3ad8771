import type { PostgresConnection } from '../../../src/postgres/connection.ts';

/** Why there is no server, to be shown beside the skipped tests. */
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

/** What global-setup offers, as the test files get it. A server starts when a test file first demands it. */
export interface Servers {
  /** Unix socket of the process that starts servers. */
  socketPath: string;
  /** Where the server will be. */
  kafka: KafkaAddress | Skip;
  redis: RedisAddress | Skip;
  how: { kafka: Way | 'none'; redis: Way | 'none'; postgres: Way };
  /** Whether a test file can start servers of its own, to kill or freeze them; a text says why not. */
  native: { kafka: true | string; redis: true | string };
}

/** What each name of a demand gives. */
export interface Demands {
  kafka: KafkaAddress;
  redis: RedisAddress;
  postgres: PostgresAddress;
  app: AppAddress;
}

/** A server process that a test may treat badly. */
export interface NativeServer {
  readonly pid: number;
  /** Ends it, removes what it wrote to a directory of its own. Twice is fine. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open, nothing is answered. */
  freeze(): Promise<void>;
  /** SIGCONT. */
  thaw(): Promise<void>;
  /** A new process on the same data and port, when the old one is dead or not. */
  restart(): Promise<void>;
}
