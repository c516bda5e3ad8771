import { mkdir } from 'node:fs/promises';
import { redisAnswers } from './answers.ts';
import { type Child, startChild } from './child.ts';

export interface RedisOptions {
  readonly directory: string;
  readonly port: number;
  /** More of the command line: `['--maxmemory', '4mb']`. */
  readonly args?: readonly string[];
  readonly log: string;
  readonly environment?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/** Starts the `redis-server` of the PATH. It writes nothing to disk, because a cache may lose everything. */
export async function startRedis(options: RedisOptions): Promise<Child & { readonly address: string }> {
  const { directory, port, args = [], log, environment, signal } = options;
  const address = `redis://127.0.0.1:${port}`;
  await mkdir(directory, { recursive: true });
  const redis = await startChild(
    { name: 'redis', command: 'redis-server', args: [...settings(port), ...args], cwd: directory, environment, log },
    { answers: () => redisAnswers(address), withinMs: 30_000, signal },
  );
  return { ...redis, address };
}

const settings = (port: number) => [
  ...['--port', String(port), '--bind', '127.0.0.1'],
  ...['--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'],
];
