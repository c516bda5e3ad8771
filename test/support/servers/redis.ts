import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNativeProcess } from './native-process.ts';
import { freePort } from './ports.ts';
import { redisAnswers } from './probes.ts';
import type { NativeServer, RedisAddress } from './types.ts';

export interface NativeRedisOptions {
  port?: number;
  /** Kept by `stop`; without it a temporary one, which goes. */
  dir?: string;
  /** More of the command line: `['--maxmemory', '4mb']`. */
  args?: string[];
}

export type NativeRedis = NativeServer & RedisAddress;

/** `redis-server` of the PATH. It writes nothing to disk: what a cache loses is never missed. */
export async function startNativeRedis({ dir, args = [], ...options }: NativeRedisOptions = {}): Promise<NativeRedis> {
  const port = options.port ?? (await freePort());
  const url = `redis://127.0.0.1:${port}`;
  const directory = dir ?? (await mkdtemp(join(tmpdir(), 'openmusic-redis-')));
  const server = await startNativeProcess({
    name: 'redis-server',
    command: 'redis-server',
    args: [...settings(port), ...args],
    directory,
    ownDirectory: dir === undefined,
    ready: () => redisAnswers(url),
    readyWithin: 10_000,
  });
  return Object.assign(server, { url });
}

const settings = (port: number) => [
  '--port',
  String(port),
  '--bind',
  '127.0.0.1',
  '--save',
  '',
  '--maxmemory-policy',
  'noeviction',
];
