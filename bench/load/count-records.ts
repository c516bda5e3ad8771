import { Kafka, logLevel } from 'kafkajs';

/** What it prints, as JSON: milliseconds from its first batch to its last. */
export interface CountingTime {
  readonly ms: number;
}

/**
 * Counts the records of topics with a consumer of kafkajs as it comes, which does nothing else with them. Arguments: broker, number of records, topics.
 */
const [broker = '', total = '', ...topics] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [broker], clientId: 'bench-count', logLevel: logLevel.NOTHING });
const consumer = kafka.consumer({ groupId: `bench-count-${process.pid}` });
await consumer.connect();
await consumer.subscribe({ topics, fromBeginning: true });
const done = Promise.withResolvers<number>();
let [count, began] = [0, 0];
await consumer.run({
  autoCommit: false,
  eachBatch: ({ batch }) => {
    began ||= performance.now();
    count += batch.messages.length;
    if (count >= Number(total)) done.resolve(performance.now() - began);
    return Promise.resolve();
  },
});
const ms = await done.promise;
await consumer.disconnect();
process.stdout.write(`${JSON.stringify({ ms } satisfies CountingTime)}\n`);
