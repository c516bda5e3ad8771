import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kafkaAnswers } from './answers.ts';
import { type Child, startChild } from './child.ts';
import type { KafkaInstallation } from './kafka-install.ts';
import { asFile, brokerProperties, type Properties, quietLog } from './kafka-settings.ts';
import { freePort } from './ports.ts';

export interface KafkaOptions {
  readonly installation: KafkaInstallation;
  /** An existing log in it is used again. */
  readonly directory: string;
  readonly port: number;
  readonly properties?: Properties;
  /** More options of the JVM, which override the others. */
  readonly jvm?: readonly string[];
  readonly log: string;
  readonly environment?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/** Apache Kafka as one process on loopback. */
export async function startKafka(options: KafkaOptions): Promise<Child & { readonly address: string }> {
  const { installation, directory, log, environment, signal } = options;
  const address = `127.0.0.1:${options.port}`;
  await prepareDirectory(installation, directory, {
    ...brokerProperties(address, address, `127.0.0.1:${await freePort()}`),
    ...quickReturn,
    ...options.properties,
    'log.dirs': join(directory, 'data'),
  });
  const args = [...jvmOptions(installation), ...(options.jvm ?? []), 'kafka.Kafka', 'server.properties'];
  const kafka = await startChild(
    { name: 'kafka', command: 'java', args, cwd: directory, environment, log },
    { answers: () => kafkaAnswers(address), withinMs: 120_000, signal },
  );
  return { ...kafka, address };
}

/** The controller accepts a killed broker again only when its old session has expired, after 9 s by default. */
const quickReturn: Properties = { 'broker.session.timeout.ms': '6000', 'broker.heartbeat.interval.ms': '1000' };

async function prepareDirectory(installation: KafkaInstallation, directory: string, properties: Properties) {
  const data = join(directory, 'data');
  await mkdir(data, { recursive: true });
  await writeFile(join(directory, 'server.properties'), asFile(properties));
  await writeFile(join(directory, 'log4j2.properties'), asFile(quietLog));
  if (existsSync(join(data, 'meta.properties'))) return;
  await copyFile(installation.bootstrap, join(data, 'bootstrap.checkpoint'));
  const identity = { version: '1', 'node.id': '1', 'cluster.id': kafkaId(), 'directory.id': kafkaId() };
  await writeFile(join(data, 'meta.properties'), asFile(identity));
}

/** A random id in Kafka's own notation, which avoids a leading dash. */
function kafkaId(): string {
  const id = randomBytes(16).toString('base64url');
  return id.startsWith('-') ? kafkaId() : id;
}

/** The second compiler costs half of a broker's time at 100 records a second, which a broker that lives for minutes never regains. */
const jvmOptions = ({ archive, classPath }: KafkaInstallation) => [
  ...['-Xms256m', '-Xmx768m', '-XX:+UseSerialGC', '-XX:+ExitOnOutOfMemoryError', '-XX:-UsePerfData'],
  '-XX:TieredStopAtLevel=1',
  ...(existsSync(archive) ? [`-XX:SharedArchiveFile=${archive}`] : []),
  ...['-Xlog:cds=off', '-Xlog:cds+dynamic=off'],
  '-Dlog4j2.configurationFile=log4j2.properties',
  ...['-cp', classPath],
];
