import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type LogRecord, partitionKey, type TopicPartition } from '../../src/events/record.ts';
import { installKafka } from '../../stack/kafka-install.ts';

const run = promisify(execFile);
export const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'] as const;
type CodecName = (typeof CODECS)[number];

/** Records of Kafka's Java client: so many in each codec to each partition, named after the codec and numbered. */
export async function produceWithJava(brokers: readonly string[], count: number, ...partitions: TopicPartition[]) {
  const { classPath } = await installKafka();
  const source = join(import.meta.dirname, '../strangers/StockProducer.java');
  const args = [brokers.join(), String(count), ...partitions.map(partitionKey)];
  await run('java', ['-XX:TieredStopAtLevel=1', '-cp', classPath, source, ...args]);
}

/** One record of librdkafka, byte for byte. */
export async function produceWithKcat(
  brokers: readonly string[],
  { topic, partition }: TopicPartition,
  codec: CodecName,
  { key, value, headers }: LogRecord,
): Promise<void> {
  const named = Object.entries(headers).flatMap(([name, text]) => ['-H', `${name}=${text}`]);
  const where = ['-P', '-b', brokers.join(), '-t', topic, '-p', String(partition), '-z', codec];
  // No byte of an event's value ends a record: kcat reads its input to the end.
  const child = spawn('kcat', [...where, '-k', key, '-D', '<end of record>', ...named], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let complaint = '';
  child.stderr.on('data', (bytes: Buffer) => (complaint += bytes.toString()));
  child.stdin.end(value);
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error(`kcat ended with ${code}: ${complaint}`);
}
