import { Redis } from 'ioredis';
import type { Stoppable } from '../lifecycle.ts';

export interface RedisOptions {
  readonly url?: string;
  readonly host?: string;
  readonly port?: number;
  readonly password?: string;
  readonly tls?: boolean;
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
}

export interface RedisConnection extends Stoppable {
  check(): Promise<{ ok: boolean; detail: string }>;
}

/** PLACEHOLDER until the connection proper lands. */
export function connectRedis({ url, host, port, password, tls, log }: RedisOptions): RedisConnection {
  const common = { commandTimeout: 300, maxRetriesPerRequest: 0, enableOfflineQueue: false };
  const redis = url
    ? new Redis(url, common)
    : new Redis({ ...common, host: host ?? 'localhost', port: port ?? 6379, password, tls: tls ? {} : undefined });
  redis.on('error', (error: Error) => log('warn', error.message));
  return {
    async check() {
      await redis.ping();
      return { ok: true, detail: 'ok' };
    },
    stop() {
      redis.disconnect();
      return Promise.resolve();
    },
  };
}
