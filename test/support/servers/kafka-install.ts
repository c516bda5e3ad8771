import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from './lock.ts';
import { onPath } from './on-path.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..', '..', '..');
const pom = join(root, 'pom.xml');

/** Apache Kafka's published jars in the project's cache. */
export interface KafkaInstallation {
  home: string;
  classPath: string;
  /** What `StorageTool format` writes beside meta.properties: the features of this version, the same for every broker. */
  bootstrap: string;
}

/** Why no broker can be started here, or true. It only looks. */
export async function canStartKafka(): Promise<true | string> {
  if (!onPath('java')) return 'no Java on the PATH (17 or later)';
  if (existsSync(await homeOfKafka()) || onPath('mvn')) return true;
  return 'no Maven on the PATH to fetch Kafka with';
}

/** Fetches what `pom.xml` names, once: elsewhere first, then in one rename, so that nobody ever meets half of it. */
export async function installKafka(): Promise<KafkaInstallation> {
  const home = await homeOfKafka();
  if (!existsSync(home)) {
    await mkdir(dirname(home), { recursive: true });
    await withLock(`${home}.lock`, async () => {
      if (!existsSync(home)) await installAt(home);
    });
  }
  return layout(home);
}

const layout = (home: string): KafkaInstallation => ({
  home,
  classPath: join(home, 'lib', '*'),
  bootstrap: join(home, 'formatted', 'bootstrap.checkpoint'),
});

async function homeOfKafka(): Promise<string> {
  const version = /<kafka\.version>(.+?)<\/kafka\.version>/.exec(await readFile(pom, 'utf8'))?.[1];
  if (version === undefined) throw new Error('pom.xml names no kafka.version');
  return join(root, '.cache', 'kafka', version);
}

async function installAt(home: string): Promise<void> {
  const elsewhere = await mkdtemp(`${home}.part-`);
  try {
    await fetchJars(join(elsewhere, 'lib'));
    await format(elsewhere);
    await rename(elsewhere, home);
  } finally {
    await rm(elsewhere, { recursive: true, force: true });
  }
}

async function fetchJars(directory: string): Promise<void> {
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${directory}`];
  try {
    await run('mvn', ['-q', '-B', '-f', pom, ...goal], { timeout: 300_000 });
  } catch (error) {
    throw new Error(`Maven could not fetch Kafka: ${firstError(error)}`, { cause: error });
  }
}

/** `-q` leaves only Maven's errors on its output, the cause first. */
const firstError = (error: unknown) =>
  ((error as { stdout?: string }).stdout ?? '').trim().split('\n')[0] ?? String(error);

/** Formats a directory that no broker uses: a format takes a JVM's start, copying its result takes none. */
async function format(home: string): Promise<void> {
  const properties = join(home, 'format.properties');
  await writeFile(properties, formatProperties(join(home, 'formatted')));
  await mkdir(join(home, 'formatted'));
  const tool = ['-cp', layout(home).classPath, 'kafka.tools.StorageTool', 'format'];
  await run('java', [...tool, '-t', 'AAAAAAAAQACAAAAAAAAAAA', '-c', properties], { timeout: 60_000 });
}

const formatProperties = (directory: string) =>
  [
    'process.roles=broker,controller',
    'node.id=1',
    'controller.quorum.voters=1@127.0.0.1:9093',
    'controller.listener.names=CONTROLLER',
    'listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093',
    `log.dirs=${directory}`,
  ].join('\n');
