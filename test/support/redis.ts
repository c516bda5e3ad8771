import { Redis } from 'ioredis';
import { eventually } from './observed.ts';
import { type NativeRedis, startNativeRedis } from './servers/index.ts';

/** One command, on a connection of its own. */
export async function sendToRedis({ url }: NativeRedis, command: string, ...args: string[]): Promise<unknown> {
  const redis = new Redis(url);
  redis.on('error', () => undefined);
  try {
    return await redis.call(command, ...args);
  } finally {
    redis.disconnect();
  }
}

export const portOf = ({ url }: NativeRedis): number => Number(new URL(url).port);

/** A Redis with a copy of the other one, which follows it. */
export async function startReplica(of: NativeRedis): Promise<NativeRedis> {
  await sendToRedis(of, 'CONFIG', 'SET', 'repl-diskless-sync-delay', '0');
  const replica = await startNativeRedis();
  await sendToRedis(replica, 'REPLICAOF', '127.0.0.1', String(portOf(of)));
  const follows = async () => String(await sendToRedis(replica, 'INFO', 'replication')).includes('link_status:up');
  await eventually('the replica follows', follows);
  return replica;
}

/** Stops following the other one. */
export const stopReplication = (replica: NativeRedis) => sendToRedis(replica, 'REPLICAOF', 'NO', 'ONE');
