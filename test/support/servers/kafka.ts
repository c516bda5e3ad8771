import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installKafka, type KafkaInstallation } from './kafka-install.ts';
import { asFile, brokerProperties, type Properties } from './kafka-settings.ts';
import { withLock } from './lock.ts';
import { startNativeProcess } from './native-process.ts';
import { freePort } from './ports.ts';
import { kafkaAnswers } from './probes.ts';
import type { KafkaAddress, NativeServer } from './types.ts';

export interface NativeKafkaOptions {
  /** Kept by `stop`, and used again when there is a log in it; without it a temporary one, which goes. */
  dir?: string;
  port?: number;
  properties?: Properties;
  /** More options of the JVM, such as `-Xmx1g`; they win. */
  jvm?: string[];
}

export type NativeKafka = NativeServer & KafkaAddress;

/** Apache Kafka from the jars of `pom.xml`, as one process on loopback. */
export async function startNativeKafka(options: NativeKafkaOptions = {}): Promise<NativeKafka> {
  const installation = await installKafka();
  await recordClasses(installation);
  return startBroker(installation, options);
}

async function startBroker(installation: KafkaInstallation, options: NativeKafkaOptions): Promise<NativeKafka> {
  const directory = options.dir ?? (await mkdtemp(join(tmpdir(), 'openmusic-kafka-')));
  const clients = `127.0.0.1:${options.port ?? (await freePort())}`;
  await prepareDirectory(installation, directory, {
    ...brokerProperties(clients, clients, `127.0.0.1:${await freePort()}`),
    ...quickRestart,
    ...options.properties,
    'log.dirs': join(directory, 'data'),
  });
  const server = await startNativeProcess({
    name: 'Kafka',
    command: 'java',
    args: [...jvmOptions(installation, options.jvm), 'kafka.Kafka', 'server.properties'],
    directory,
    ownDirectory: options.dir === undefined,
    ready: () => kafkaAnswers(clients),
    readyWithin: 60_000,
  });
  return Object.assign(server, { brokers: [clients] });
}

/** The controller takes a killed broker back only when its old session is over: 13 s by default, 5 s with these. */
const quickRestart: Properties = { 'broker.session.timeout.ms': '2000', 'broker.heartbeat.interval.ms': '500' };

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

/** Warnings and errors, to the process's output and so to `output.log`. */
const quietLog: Properties = {
  'appender.out.type': 'Console',
  'appender.out.name': 'out',
  'appender.out.layout.type': 'PatternLayout',
  'appender.out.layout.pattern': '%d{ISO8601} %p %m (%c)%n%throwable',
  'rootLogger.level': 'WARN',
  'rootLogger.appenderRef.out.ref': 'out',
};

/** A random id in Kafka's own notation, which avoids a leading dash. */
function kafkaId(): string {
  const id = randomBytes(16).toString('base64url');
  return id.startsWith('-') ? kafkaId() : id;
}

/** The serial collector and the first compiler alone: a broker of a test never runs long enough to earn back the others. */
const jvmOptions = (installation: KafkaInstallation, more: string[] = []) => [
  ...['-Xms128m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData'],
  ...(existsSync(archiveOf(installation)) ? [`-XX:SharedArchiveFile=${archiveOf(installation)}`] : []),
  ...['-Xlog:cds=off', '-Xlog:cds+dynamic=off'],
  '-Dlog4j2.configurationFile=log4j2.properties',
  ...more,
  ...['-cp', installation.classPath],
];

const archiveOf = ({ home }: KafkaInstallation) => join(home, 'classes.jsa');

/**
 * Runs a broker once to archive the classes it loads: every later start takes 1.3 s instead of 2.9 s, and half the
 * processor time. A JVM that cannot use the archive ignores it, so failing here costs no more than that time.
 */
async function recordClasses(installation: KafkaInstallation): Promise<void> {
  const archive = archiveOf(installation);
  if (existsSync(archive)) return;
  await withLock(`${archive}.lock`, async () => {
    if (!existsSync(archive)) await recordClassesTo(archive, installation);
  }).catch(() => undefined);
}

async function recordClassesTo(archive: string, installation: KafkaInstallation): Promise<void> {
  const dir = await mkdtemp(`${archive}.part-`);
  try {
    const recorded = join(dir, 'classes.jsa');
    const broker = await startBroker(installation, { dir, jvm: [`-XX:ArchiveClassesAtExit=${recorded}`] });
    await broker.stop();
    await rename(recorded, archive);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
