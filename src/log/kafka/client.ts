import kafkajs, { type Kafka, type LogEntry, type RetryOptions, type SASLOptions } from 'kafkajs';
import { patchKafkajs } from './patch.ts';
import { createSockets } from './sockets.ts';

export type LogLine = (level: 'debug' | 'info' | 'warn' | 'error', message: string, extra: object) => void;

export interface ClientOptions {
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly ssl?: boolean;
  readonly sasl?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
    readonly username: string;
    readonly password: string;
  };
  /** Milliseconds after which a request without a response fails. */
  readonly requestTimeoutMs?: number;
  readonly logger: LogLine;
}

/** A client with connections of its own. */
export interface KafkaClient {
  readonly kafka: Kafka;
  /** Closes its connections for good. Requests that wait on them fail. */
  destroy(): void;
}

export const REQUEST_TIMEOUT_MS = 10_000;

/** All five are set, because kafkajs uses other defaults when NODE_ENV is `test`. */
export const RETRY = {
  initialRetryTime: 50,
  maxRetryTime: 2_000,
  factor: 0.2,
  multiplier: 2,
  retries: 8,
} as const satisfies Required<Omit<RetryOptions, 'restartOnFailure'>>;

/** Pause before another try of our own, in milliseconds; `tries` counts those that have failed. */
export const pauseMs = (tries: number): number => RETRY.initialRetryTime * 2 ** tries;

export function createClient(options: ClientOptions): KafkaClient {
  patchKafkajs();
  const sockets = createSockets();
  const sasl: SASLOptions | undefined = options.sasl;
  const kafka = new kafkajs.Kafka({
    brokers: [...options.brokers],
    clientId: options.clientId,
    ssl: options.ssl,
    sasl,
    connectionTimeout: 3_000,
    requestTimeout: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    retry: RETRY,
    socketFactory: sockets.open,
    logLevel: kafkajs.logLevel.INFO,
    logCreator: () => (entry) => logOf(options.logger, entry),
  });
  return { kafka, destroy: sockets.destroy };
}

/** kafkajs retries most of what it logs as an error, so that is a warning here; its information is logged for debugging. */
function logOf(logger: LogLine, { namespace, level, log }: LogEntry): void {
  const ours = level <= kafkajs.logLevel.WARN ? 'warn' : 'debug';
  const reason = typeof log.error === 'string' ? `: ${log.error}` : '';
  logger(ours, `kafkajs ${namespace}: ${log.message}${partitionOf(log)}${reason}`, { kafkajs: log });
}

/** Names the partition, so that the same message for another partition is not suppressed. */
const partitionOf = ({ topic, partition }: LogEntry['log']): string =>
  typeof topic === 'string' && typeof partition === 'number' ? ` (${topic}/${partition})` : '';
