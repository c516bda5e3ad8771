import { describe, expect, it } from '@jest/globals';
import type { Kafka, ProducerBatch, ProducerConfig, RecordMetadata } from 'kafkajs';
import type { Append, AppendError } from '../event-log.ts';
import { createAppender } from './append.ts';

const at = (topic: string, partition: number): Append => ({
  topic,
  partition,
  record: { key: 'album-1', value: Buffer.from('v'), headers: {} },
});
const answer = (topicName: string, partition: number): RecordMetadata => ({ topicName, partition, errorCode: 0 });
const failure = (type: string, retriable = false) => Object.assign(new Error(type), { type, retriable });

/** An appender over a producer that returns these answers, one for each try. */
function scripted(...script: (RecordMetadata[] | Error)[]) {
  const tries: ProducerBatch[] = [];
  let config: ProducerConfig = {};
  const sendBatch = (batch: ProducerBatch) => {
    tries.push(batch);
    const next = script.shift() ?? [];
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  };
  const producer = (given: ProducerConfig) => {
    config = given;
    return { sendBatch };
  };
  const appender = createAppender({ producer } as unknown as Kafka);
  const outcome = (...batch: Append[]) =>
    appender.append(batch).then(
      () => 'acknowledged',
      (error: unknown) => (error as AppendError).outcome,
    );
  return { tries, outcome, config };
}

describe('append', () => {
  it('waits for all in-sync replicas, without the idempotence that loses acknowledged records', async () => {
    const { tries, outcome, config } = scripted([answer('t', 3), answer('u', 0)]);
    expect(await outcome(at('t', 3), at('u', 0), at('t', 3))).toBe('acknowledged');
    expect(config).toMatchObject({ idempotent: false, allowAutoTopicCreation: false });
    expect(tries).toMatchObject([{ acks: -1, timeout: 5000 }]);
    expect(tries[0]?.topicMessages?.map(({ topic, messages }) => [topic, messages.map((m) => m.partition)])).toEqual([
      ['t', [3, 3]],
      ['u', [0]],
    ]);
  });

  it('disables the retries of kafkajs, which can lose a record whose leader moves', () => {
    expect(scripted().config.retry).toEqual(expect.objectContaining({ retries: 0 }));
  });

  it('is unknown when no broker answered for a part of the batch', async () => {
    expect(await scripted([answer('t', 0)]).outcome(at('t', 0), at('t', 1))).toBe('unknown');
  });

  it('retries a transient error, and gives up after four tries', async () => {
    const moved = failure('NOT_LEADER_FOR_PARTITION', true);
    expect(await scripted(moved, moved, [answer('t', 0)]).outcome(at('t', 0))).toBe('acknowledged');
    const hopeless = scripted(moved, moved, moved, moved, [answer('t', 0)]);
    expect(await hopeless.outcome(at('t', 0))).toBe('unknown');
    expect(hopeless.tries).toHaveLength(4);
  });

  it('does not repeat a request that was not answered in time', async () => {
    const late = Object.assign(new Error('late'), { name: 'KafkaJSRequestTimeoutError', retriable: true });
    const { tries, outcome } = scripted(new Error('retries exceeded', { cause: late }), [answer('t', 0)]);
    expect(await outcome(at('t', 0))).toBe('unknown');
    expect(tries).toHaveLength(1);
  });

  it.each(['MESSAGE_TOO_LARGE', 'INVALID_RECORD'])('%s refuses one partition', async (type) => {
    expect(await scripted(failure(type)).outcome(at('t', 0), at('t', 0))).toBe('refused');
    expect(await scripted(failure(type)).outcome(at('t', 0), at('t', 1))).toBe('unknown');
  });

  it('TOPIC_AUTHORIZATION_FAILED refuses one topic', async () => {
    const type = 'TOPIC_AUTHORIZATION_FAILED';
    expect(await scripted(failure(type)).outcome(at('t', 0), at('t', 1))).toBe('refused');
    expect(await scripted(failure(type)).outcome(at('t', 0), at('u', 0))).toBe('unknown');
  });

  it('is unknown when it is refused only after a try that may have written', async () => {
    const { outcome } = scripted(failure('NOT_ENOUGH_REPLICAS_AFTER_APPEND', true), failure('MESSAGE_TOO_LARGE'));
    expect(await outcome(at('t', 0))).toBe('unknown');
  });
});
