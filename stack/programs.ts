import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { isKafkaInstalled } from './kafka-install.ts';
import { onPath } from './on-path.ts';

const JAVA_SINCE = 17;

/** The programs that a broker needs and this machine lacks, and how to install them. Empty when none is missing. */
export async function missingForKafka(environment: NodeJS.ProcessEnv): Promise<string[]> {
  const java = await javaVersion(environment);
  const missing: string[] = [];
  if (java === undefined || java < JAVA_SINCE) {
    const found = java === undefined ? '' : `, here is ${java}`;
    missing.push(
      `Java ${JAVA_SINCE} or later${found} (Debian: apt install default-jre-headless; macOS: brew install openjdk)`,
    );
  }
  if (!onPath('mvn', environment.PATH) && !(await isKafkaInstalled())) {
    missing.push('Maven, to fetch Kafka with (Debian: apt install maven; macOS: brew install maven)');
  }
  return missing;
}

export const hasRedis = ({ PATH }: NodeJS.ProcessEnv): boolean => onPath('redis-server', PATH);

/** Parses `openjdk version "17.0.15" 2025-04-15`; versions before 9 are written as 1.8. */
async function javaVersion(environment: NodeJS.ProcessEnv): Promise<number | undefined> {
  const asked = promisify(execFile)('java', ['-version'], { env: environment, timeout: 60_000 });
  const { stderr } = await asked.catch(() => ({ stderr: '' }));
  const [, major, minor] = /version "(\d+)(?:\.(\d+))?/.exec(stderr) ?? [];
  return major === undefined ? undefined : Number(major === '1' ? minor : major);
}
