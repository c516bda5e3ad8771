import { Redis } from 'ioredis';
import { reasonOf } from '../errors.ts';
import type { Stoppable } from '../lifecycle.ts';
import { type ServerNamed, whyUnreachable } from '../unreachable.ts';

export interface RedisOptions {
  /** `redis://` or `rediss://`, with user and password. It takes precedence over the other settings. */
  readonly url?: string;
  readonly host?: string;
  readonly port?: number;
  readonly password?: string;
  readonly tls?: boolean;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

export interface RedisConnection extends Stoppable {
  /** Every command fails at once, or within `COMMAND_TIMEOUT_MS`, while the server cannot be reached. */
  readonly client: Redis;
  /** `runId` differs after every start of the server. `unfit` says why it must not be used as a cache; empty when it may. */
  identify(): Promise<{ runId: string; unfit: string }>;
  /** Pings it now. Resolves within `COMMAND_TIMEOUT_MS`. */
  check(): Promise<{ ok: boolean; detail: string }>;
}

const COMMAND_TIMEOUT_MS = 300;

/**
 * Without these a command hangs on a frozen server, takes 73 s to fail on a dead one, and can run twice. `socketTimeout`
 * closes a connection on which no answer arrives, so that a network which drops packets leads to a new connection.
 */
const settings = {
  commandTimeout: COMMAND_TIMEOUT_MS,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  connectTimeout: 3_000,
  socketTimeout: 5_000,
  retryStrategy: (attempt: number) => Math.min(50 * 2 ** attempt, 1_000),
};

/** A connection that reconnects by itself, without end. Never throws for a server that cannot be reached. */
export function connectRedis({ log, ...options }: RedisOptions): RedisConnection {
  const redis = open(options);
  let eviction = '';
  let reported = false;

  redis.on('error', (error: unknown) => {
    if (!reported) log('warn', `Redis cannot be used: ${whyUnreachable(error, serverOf(options)) ?? reasonOf(error)}`);
    reported = true;
  });
  redis.on('ready', () => {
    reported = false;
    log('info', 'Redis is connected');
    void identify().then(
      ({ unfit }) => {
        eviction = unfit;
        if (unfit) log('warn', `${unfit}. Set it to noeviction.`);
      },
      () => undefined,
    );
  });

  async function identify() {
    const info = await redis.info();
    const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? 'noeviction';
    const unfit =
      policy === 'noeviction' ? '' : `Redis evicts keys (maxmemory-policy ${policy}): nothing is cached in it`;
    return { runId: /^run_id:(\S+)/m.exec(info)?.[1] ?? '', unfit };
  }

  return {
    client: redis,
    identify,
    async check() {
      const began = performance.now();
      try {
        await redis.ping();
      } catch {
        return {
          ok: false,
          detail: redis.status === 'ready' ? `no answer in ${COMMAND_TIMEOUT_MS} ms` : 'not connected',
        };
      }
      const answered = `${Math.max(1, Math.round(performance.now() - began))} ms`;
      return { ok: true, detail: eviction ? `${answered}; ${eviction}` : answered };
    },
    stop() {
      redis.disconnect();
      return Promise.resolve();
    },
  };
}

function serverOf({ url, host = 'localhost', port = 6379 }: Omit<RedisOptions, 'log'>): ServerNamed {
  const server = { service: 'Redis', tls: 'REDIS_URL (rediss://) or REDIS_TLS' };
  if (url !== undefined) return { ...server, address: new URL(url).host, where: 'REDIS_URL' };
  return { ...server, address: `${host}:${port}`, where: 'REDIS_SERVER and REDIS_PORT' };
}

function open({ url, host = 'localhost', port = 6379, password, tls = false }: Omit<RedisOptions, 'log'>): Redis {
  if (url !== undefined) return new Redis(url, settings);
  return new Redis({ ...settings, host, port, password, ...(tls && { tls: {} }) });
}
