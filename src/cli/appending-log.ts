import { z } from 'zod';
import type { Append, EventLog } from '../log/event-log.ts';
import { openAdminApi } from './admin-api.ts';
import type { CommandContext } from './with-resources.ts';

/**
 * The log of a command that appends, opened `as: 'writer'`. Only one process writes an embedded log: where that is a running server,
 * the command reads the log itself and lets the server append. `url` is the base of its API; PUBLIC_URL by default. A command appends
 * to a broker itself, unless its database is a follower.
 */
export async function appendingLog({ log, isWritable, config }: CommandContext, url?: string): Promise<EventLog> {
  if (isWritable || config.KAFKA_BROKERS) return log;
  const api = await openAdminApi(config, url);
  return {
    ...log,
    async append(batch: readonly Append[]) {
      const records = batch.map(({ topic, partition, record: { key, headers, value } }) => ({
        topic,
        partition,
        key,
        headers,
        value: value.toString('base64'),
      }));
      await api.call('POST', '/admin/log/records', z.unknown(), { records });
    },
  };
}
