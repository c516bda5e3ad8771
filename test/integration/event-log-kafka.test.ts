import { exec } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { openKafkaLog } from '../../src/log/kafka.ts';
import { eventLogContract, type LogUnderTest } from '../contract/event-log.ts';
import { describeWithKafka, namespace, servers, startNativeKafka } from '../support/servers/index.ts';

const open = (brokers: string[]) => () => openKafkaLog({ brokers, clientId: 'contract', logger: () => undefined });

/** A broker of the test's own can be killed; the shared one cannot. */
async function nativeLog(): Promise<LogUnderTest> {
  const broker = await startNativeKafka();
  const crashServer = () => broker.kill().then(() => broker.restart());
  return { namespace: namespace(), open: open(broker.brokers), crashServer, close: () => broker.stop() };
}

const named = servers().how.kafka === 'env';
/** A shell command that kills the broker of the environment with -9, and starts it again. */
const crash = named ? process.env.TEST_KAFKA_CRASH : undefined;

function sharedLog(brokers: string[]): Promise<LogUnderTest> {
  const crashServer = async () => {
    await promisify(exec)(crash ?? 'exit 1');
  };
  return Promise.resolve({ namespace: namespace(), open: open(brokers), crashServer, close: () => Promise.resolve() });
}

describeWithKafka('with a broker', ({ brokers }) => {
  if (!named && servers().native.kafka === true) eventLogContract('Kafka', nativeLog);
  else eventLogContract('Kafka', () => sharedLog(brokers), { crashes: crash !== undefined });

  describe('a topic created with flush', () => {
    it('is durable, on Redpanda as on Kafka', async () => {
      const log = await openKafkaLog({ brokers, clientId: 'contract', flush: 'on', logger: () => undefined });
      const topic = `${namespace()}.flushed`;
      await log.createTopics([{ topic, partitions: 1, retentionMs: -1 }]);
      expect(await log.durability([topic])).toEqual({ durable: true, why: 'every append is flushed to disk' });
      await log.close();
    });
  });
});
