import type { PostgresConnection } from '../../../src/postgres/connection.ts';

/** What a suite that needs a server gets when there is none: the reason, to be shown beside the skipped tests. */
export interface Skip {
  skip: string;
}

export interface KafkaAddress {
  brokers: string[];
}

export interface RedisAddress {
  url: string;
}

export type Way = 'env' | 'docker' | 'native';

/** What global-setup found, as the test files get it. */
export interface Servers {
  kafka: KafkaAddress | Skip;
  redis: RedisAddress | Skip;
  postgres: PostgresConnection;
  /** Database that `createDatabase` clones. */
  template: string;
  how: { kafka: Way | 'none'; redis: Way | 'none'; postgres: Way };
  /** Whether a test file can start servers of its own, to kill or freeze them; a text says why not. */
  native: { kafka: true | string; redis: true | string };
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
