import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { reasonOf } from '../src/errors.ts';
import { guard } from './guard.ts';
import { asFile } from './kafka-settings.ts';
import { withLock } from './lock.ts';

const root = join(import.meta.dirname, '..');
const pom = join(root, 'pom.xml');

/** Apache Kafka's published jars in the project's cache. */
export interface KafkaInstallation {
  readonly classPath: string;
  /** The file that `StorageTool format` writes beside meta.properties: the features of this version, the same for every broker. */
  readonly bootstrap: string;
  /** The classes a broker loads, as a JVM maps them; it may be missing. */
  readonly archive: string;
}

export interface InstallOptions {
  /** Its PATH has `java` and `mvn`; that of this process, unless it is given. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/** Whether the jars are present, so that Maven is not needed. */
export const isKafkaInstalled = async (): Promise<boolean> => existsSync(await homeOfKafka());

/** Fetches what `pom.xml` names, once. It is complete before one rename puts it in place, so that no process finds half of it. */
export async function installKafka(options: InstallOptions = {}): Promise<KafkaInstallation> {
  const home = await homeOfKafka();
  if (!existsSync(home)) {
    await mkdir(dirname(home), { recursive: true });
    const install = async () => {
      if (!existsSync(home)) await installAt(home, options);
    };
    await withLock(`${home}.lock`, install, options.signal);
  }
  return layout(home);
}

const layout = (home: string): KafkaInstallation => ({
  classPath: join(home, 'lib', '*'),
  bootstrap: join(home, 'formatted', 'bootstrap.checkpoint'),
  archive: join(home, 'classes.jsa'),
});

async function homeOfKafka(): Promise<string> {
  const version = /<kafka\.version>(.+?)<\/kafka\.version>/.exec(await readFile(pom, 'utf8'))?.[1];
  if (version === undefined) throw new Error('pom.xml names no kafka.version');
  return join(root, '.cache', 'kafka', version);
}

async function installAt(home: string, options: InstallOptions): Promise<void> {
  const draft = await mkdtemp(`${home}.part-`);
  try {
    await fetchJars(join(draft, 'lib'), options);
    await format(draft, options);
    await rename(draft, home);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function fetchJars(directory: string, options: InstallOptions): Promise<void> {
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${directory}`];
  try {
    await run('mvn', ['-q', '-B', '-f', pom, ...goal], 300_000, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new Error(`Maven could not fetch Kafka: ${firstError(error)}`, { cause: error });
  }
}

/** With `-q` Maven prints only errors, the cause first. */
function firstError(error: unknown): string {
  const [line = ''] = ((error as { stdout?: string }).stdout ?? '').trim().split('\n');
  return line === '' ? reasonOf(error) : line;
}

/** Formats a directory that no broker uses: formatting starts a JVM, copying its result does not. */
async function format(home: string, options: InstallOptions): Promise<void> {
  const properties = join(home, 'format.properties');
  await writeFile(properties, asFile(formatProperties(join(home, 'formatted'))));
  await mkdir(join(home, 'formatted'));
  const tool = ['-cp', layout(home).classPath, 'kafka.tools.StorageTool', 'format'];
  await run('java', [...tool, '-t', 'AAAAAAAAQACAAAAAAAAAAA', '-c', properties], 60_000, options);
}

async function run(
  command: string,
  args: string[],
  timeout: number,
  { environment, signal }: InstallOptions,
): Promise<void> {
  const running = promisify(execFile)(command, args, { timeout, signal, env: environment });
  const { pid } = running.child;
  const disarm = pid === undefined ? () => undefined : guard(`kill -9 ${pid}`);
  await running.finally(disarm);
}

const formatProperties = (directory: string) => ({
  'process.roles': 'broker,controller',
  'node.id': '1',
  'controller.quorum.voters': '1@127.0.0.1:9093',
  'controller.listener.names': 'CONTROLLER',
  listeners: 'PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093',
  'log.dirs': directory,
});
