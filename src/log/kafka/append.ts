import type { Kafka, Message, RecordMetadata, TopicMessages } from 'kafkajs';
import { partitionKey, type TopicPartition } from '../../events/record.ts';
import { AppendError, type Append } from '../event-log.ts';
import { pauseMs, REQUEST_TIMEOUT_MS, RETRY } from './client.ts';
import { within } from '../../concurrency/deadline.ts';
import { retry } from '../../concurrency/retry.ts';
import { failureOf, type Failure } from './failure.ts';

export interface KafkaAppender {
  connect(): Promise<void>;
  append(batch: readonly Append[]): Promise<void>;
  disconnect(): Promise<void>;
}

/** No try begins later than this, because a handler that waits for the verdict has given up by then. */
const TRY_FOR_MS = 5_000;
const TRIES = 4;

/**
 * Retries by itself instead of letting kafkajs retry: kafkajs remembers responses by broker, so a record whose leader moves between
 * two tries to a broker that has answered the first one is never sent, and is reported as written.
 */
export function createAppender(kafka: Kafka, requestTimeoutMs = REQUEST_TIMEOUT_MS): KafkaAppender {
  const producer = kafka.producer({
    idempotent: false,
    allowAutoTopicCreation: false,
    retry: { ...RETRY, retries: 0 },
    createPartitioner: () => chosenPartition,
  });

  async function send(batch: readonly Append[]): Promise<void> {
    const topicMessages = byTopic(batch);
    assertComplete(batch, await producer.sendBatch({ acks: -1, timeout: 5_000, topicMessages }));
  }

  return {
    connect: () => producer.connect(),
    disconnect: () => producer.disconnect(),
    async append(batch) {
      if (batch.length === 0) return;
      await within(
        TRY_FOR_MS + 2 * requestTimeoutMs,
        'the append',
        tryAll(() => send(batch), batch),
      ).catch(toAppendError);
    },
  };
}

function tryAll(send: () => Promise<void>, batch: readonly Append[]): Promise<void> {
  const giveUpAt = Date.now() + TRY_FOR_MS;
  const onFailure = (error: unknown, tries: number) => {
    const failure = failureOf(error);
    if (isRefused(failure, batch)) throw new AppendError(tries === 1 ? 'refused' : 'unknown', failure.message, error);
    if (tries === TRIES || !isWorthAnother(failure) || Date.now() > giveUpAt) throw error;
  };
  return retry(send, { pauseMs, onFailure });
}

/** A second try cannot tell what became of a request without a response. A broker that is back answers with another error. */
const isWorthAnother = ({ name, retriable }: Failure): boolean => retriable && name !== 'KafkaJSRequestTimeoutError';

function toAppendError(error: unknown): never {
  if (error instanceof AppendError) throw error;
  throw new AppendError('unknown', failureOf(error).message, error);
}

/** Errors that mean that nothing was written, each with the part of a batch that it is about. */
const REFUSALS: Readonly<Record<string, (append: TopicPartition) => string>> = {
  MESSAGE_TOO_LARGE: partitionKey,
  RECORD_LIST_TOO_LARGE: partitionKey,
  INVALID_RECORD: partitionKey,
  TOPIC_AUTHORIZATION_FAILED: ({ topic }) => topic,
  CLUSTER_AUTHORIZATION_FAILED: () => '',
};

/** kafkajs reports one error of a request; other parts of the same batch may have been written. */
function isRefused({ type }: Failure, batch: readonly Append[]): boolean {
  const part = type === undefined ? undefined : REFUSALS[type];
  return part !== undefined && new Set(batch.map(part)).size === 1;
}

/** kafkajs drops records of a partition that is missing from its metadata, and reports success. */
function assertComplete(batch: readonly Append[], answers: readonly RecordMetadata[]): void {
  const written = new Set(answers.map(({ topicName, partition }) => partitionKey({ topic: topicName, partition })));
  const missing = batch.map(partitionKey).find((key) => !written.has(key));
  if (missing !== undefined) throw new Error(`no broker answered for ${missing}`);
}

function byTopic(batch: readonly Append[]): TopicMessages[] {
  const grouped = Map.groupBy(batch, ({ topic }) => topic);
  return [...grouped].map(([topic, appends]) => ({ topic, messages: appends.map(toMessage) }));
}

const toMessage = ({ partition, record }: Append): Message => ({ partition, ...record });

function chosenPartition({ message }: { message: Message }): number {
  if (message.partition === undefined) throw new Error('a record without a partition');
  return message.partition;
}
