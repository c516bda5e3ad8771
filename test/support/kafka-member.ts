import { openKafkaLog } from '../../src/log/kafka.ts';
import { Follower } from '../contract/follower.ts';

/** The messages of a group member to the test that started it: the partitions of its last join, and all keys it has seen. */
export interface MemberReport {
  readonly partitions: readonly number[];
  readonly keys: readonly string[];
}

/** A process of its own, for tests that kill it: `node kafka-member.ts <brokers> <group> <topic>`. */
const [brokers = '', group = '', topic = ''] = process.argv.slice(2);
const follower = new Follower();
const report = () => {
  const partitions = (follower.joins.at(-1) ?? []).map(({ partition }) => partition);
  process.send?.({ partitions, keys: follower.keys() } satisfies MemberReport);
};
follower.onAssigned = report;
follower.onDeliver = () => {
  report();
  return undefined;
};

const log = await openKafkaLog({
  brokers: brokers.split(','),
  clientId: 'member',
  sessionTimeoutMs: 1_500,
  logger: (level, message) => level === 'debug' || console.log(level, message),
});
await log.subscribe({ group, topics: [topic], handler: follower, onCrash: () => process.exit(1) });
