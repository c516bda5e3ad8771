import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareKafka } from '../../../stack/kafka-classes.ts';
import type { Properties } from '../../../stack/kafka-settings.ts';
import { startKafka } from '../../../stack/kafka.ts';
import { nativeServer } from './native-process.ts';
import { freePort } from '../ports.ts';
import type { KafkaAddress, NativeServer } from './types.ts';

export interface NativeKafkaOptions {
  /** Kept by `stop`, and used again when it contains a log; without it a temporary one, which is removed. */
  dir?: string;
  port?: number;
  properties?: Properties;
  /** More options of the JVM, such as `-Xmx1g`; they override the defaults. */
  jvm?: string[];
}

export type NativeKafka = NativeServer & KafkaAddress;

/** Apache Kafka from the jars of `pom.xml`, as one process on loopback. */
export async function startNativeKafka({ dir, ...options }: NativeKafkaOptions = {}): Promise<NativeKafka> {
  const installation = await prepareKafka();
  const directory = dir ?? (await mkdtemp(join(tmpdir(), 'openmusic-kafka-')));
  const port = options.port ?? (await freePort());
  const properties = { ...quickReturn, ...options.properties };
  const jvm = [...small, ...(options.jvm ?? [])];
  const log = join(directory, 'output.log');
  const start = () => startKafka({ installation, directory, port, properties, jvm, log });
  const server = await nativeServer(start, dir === undefined ? directory : undefined);
  return Object.assign(server, { brokers: [`127.0.0.1:${port}`] });
}

/** The controller accepts a restarted broker only when its old session is over. */
const quickReturn: Properties = { 'broker.session.timeout.ms': '2000', 'broker.heartbeat.interval.ms': '500' };

/** Only the first compiler: a broker of a test never runs long enough for the other one to pay off. */
const small = ['-Xms128m', '-Xmx512m', '-XX:TieredStopAtLevel=1'];
