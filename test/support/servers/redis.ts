import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRedis } from '../../../stack/redis.ts';
import { nativeServer } from './native-process.ts';
import { freePort } from '../ports.ts';
import type { NativeServer, RedisAddress } from './types.ts';

export interface NativeRedisOptions {
  port?: number;
  /** Kept by `stop`; without it a temporary one, which goes. */
  dir?: string;
  /** More arguments of the command line: `['--maxmemory', '4mb']`. */
  args?: string[];
}

export type NativeRedis = NativeServer & RedisAddress;

/** `redis-server` of the PATH. */
export async function startNativeRedis({ dir, args, ...options }: NativeRedisOptions = {}): Promise<NativeRedis> {
  const port = options.port ?? (await freePort());
  const directory = dir ?? (await mkdtemp(join(tmpdir(), 'openmusic-redis-')));
  const log = join(directory, 'output.log');
  const start = () => startRedis({ directory, port, args, log });
  const server = await nativeServer(start, dir === undefined ? directory : undefined);
  return Object.assign(server, { url: `redis://127.0.0.1:${port}` });
}
