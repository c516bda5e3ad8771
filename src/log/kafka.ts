import { reasonOf } from '../errors.ts';
import { showPosition, type Position } from '../events/record.ts';
import type { LogOwner } from '../events/genesis.ts';
import type { LogEntry } from './entry.ts';
import type { EventLog, Subscription } from './event-log.ts';
import { createLogAdmin } from './kafka/admin.ts';
import { createAppender } from './kafka/append.ts';
import { createClient } from './kafka/client.ts';
import { within } from '../concurrency/deadline.ts';
import { failureOf } from './kafka/failure.ts';
import { createReader, type PartitionReader } from './kafka/reader.ts';
import { groupTagOf } from './owner.ts';
import { explainKafka } from './kafka/unreachable.ts';
import { KafkaSubscription, type SubscriptionOptions } from './kafka/subscription.ts';

export interface KafkaLogOptions extends SubscriptionOptions {
  /** `on`: the broker flushes every append to the topics that `createTopics` makes. */
  readonly flush?: 'on' | 'off';
  /** The database that owns the consumer groups. Their names carry its identity, so that another database never joins them. */
  readonly groups?: { readonly namespace: string; readonly of: LogOwner };
}

const ANSWER_WITHIN_MS = 20_000;
const CLOSE_WITHIN_MS = 3_000;

/** The event log in Kafka, or in a broker that speaks its protocol. Rejects when no broker can be reached. */
export async function openKafkaLog(options: KafkaLogOptions): Promise<EventLog> {
  const client = createClient(options);
  const appender = createAppender(client.kafka, options.requestTimeoutMs);
  const admin = createLogAdmin(client.kafka, options.flush === 'on');
  const reader = createReader(client.kafka);
  const subscriptions = new Set<KafkaSubscription>();
  let closed: Promise<void> | undefined;
  const answer = <T>(what: string, work: Promise<T>) => within(ANSWER_WITHIN_MS, what, work);
  const { groups } = options;
  const nameOf = (group: string) => (groups ? `${group}.${groupTagOf(groups.of)}` : group);

  async function subscribe(subscription: Subscription): Promise<KafkaSubscription> {
    if (closed) throw new Error('the log is closed');
    const running = new KafkaSubscription(options, { ...subscription, group: nameOf(subscription.group) }, reader);
    subscriptions.add(running);
    await running.start(subscription.topics).catch(async (error: unknown) => {
      await running.stop();
      throw error;
    });
    return running;
  }

  async function close(): Promise<void> {
    await Promise.all([...subscriptions].map((subscription) => subscription.stop()));
    const leaving = Promise.all([appender.disconnect(), admin.disconnect(), reader.disconnect()]);
    await within(CLOSE_WITHIN_MS, 'disconnecting', leaving).catch((error: unknown) =>
      options.logger('warn', 'the connections were cut off', { reason: reasonOf(error) }),
    );
    client.destroy();
  }

  // Waits for both, because the one that has not failed yet would keep trying after this function has rejected.
  for (const connected of await Promise.allSettled([appender.connect(), admin.connect()])) {
    if (connected.status === 'fulfilled') continue;
    client.destroy();
    throw explainKafka(connected.reason, options);
  }
  return {
    append: (batch) => appender.append(batch),
    durability: (topics) => answer('asking for durability', admin.durability(topics)),
    describe: (topics) => answer('describing topics', admin.describe(topics)),
    createTopics: (topics) => answer('creating topics', admin.createTopics(topics)),
    deleteTopics: (topics) => answer('deleting topics', admin.deleteTopics(topics)),
    begins: (partitions) => answer('asking for the beginnings', reader.begins(partitions)),
    ends: (partitions) => answer('asking for the ends', reader.ends(partitions)),
    read: (from, { maxBytes = 2 ** 20 } = {}) => answer('reading', read(reader, from, maxBytes)),
    async members(owner = groups?.of) {
      if (!groups || !owner) return [];
      const [first, last] = [`${groups.namespace}.`, `.${groupTagOf(owner)}`];
      const isWanted = (group: string) => group.startsWith(first) && group.endsWith(last);
      return answer('asking for the members of groups', admin.members(isWanted));
    },
    subscribe,
    close: () => (closed ??= close()),
  };
}

async function read(reader: PartitionReader, from: Position, maxBytes: number): Promise<LogEntry[]> {
  try {
    return await reader.read(from, maxBytes);
  } catch (error) {
    if (failureOf(error).type !== 'OFFSET_OUT_OF_RANGE') throw error;
    const [[begin], [end]] = await Promise.all([reader.begins([from]), reader.ends([from])]);
    const extent = `which begins at ${begin?.offset ?? '?'} and ends at ${end?.offset ?? '?'}`;
    throw new Error(`${showPosition(from)} is not in the log, ${extent}`, { cause: error });
  }
}
