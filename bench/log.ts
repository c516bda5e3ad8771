import { openLogUnder } from '../src/log/embedded.ts';
import type { EventLog } from '../src/log/event-log.ts';
import { openKafkaLog } from '../src/log/kafka.ts';
import type { PostgresConnection } from '../src/postgres/connection.ts';

/** The place of a log. */
export type LogPlace =
  { readonly brokers: readonly string[]; readonly flush: 'on' | 'off' } | { readonly connection: PostgresConnection };

/** The log has no other writer. */
const unshared = { held: () => Promise.resolve(), stop: () => Promise.resolve() };
const silent = () => undefined;

export const openLog = (place: LogPlace, namespace: string): Promise<EventLog> =>
  'brokers' in place
    ? openKafkaLog({ ...place, clientId: 'bench', logger: silent })
    : openLogUnder(unshared, { ...place, namespace, log: silent });
