import { openKafkaLog } from '../../src/log/kafka.ts';
import { eventLogContract, type LogUnderTest } from '../contract/event-log.ts';
import { describeWithKafka, namespace, servers, startNativeKafka } from '../support/servers/index.ts';

const open = (brokers: string[]) => () => openKafkaLog({ brokers, clientId: 'contract', logger: () => undefined });

/** A broker of one's own can be killed; another, that all tests share, cannot. */
async function nativeLog(): Promise<LogUnderTest> {
  const broker = await startNativeKafka();
  const crashServer = () => broker.kill().then(() => broker.restart());
  return { namespace: namespace(), open: open(broker.brokers), crashServer, close: () => broker.stop() };
}

describeWithKafka('with a broker', ({ brokers }) => {
  const shared = () => Promise.resolve({ namespace: namespace(), open: open(brokers), close: () => Promise.resolve() });
  if (servers().native.kafka === true) eventLogContract('Kafka', nativeLog);
  else eventLogContract('Kafka', shared, { crashes: false });
});
