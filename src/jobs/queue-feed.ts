import type { Logger } from 'pino';
import { type Placement, topicOf } from '../events/placement.ts';
import type { EventLog, SubscriptionHandler } from '../log/event-log.ts';
import type { Ownership } from '../log/ownership.ts';
import { readVoids } from '../log/void-topic.ts';
import { sleep } from '../concurrency/sleep.ts';
import { lockTransaction } from '../postgres/advisory-lock.ts';
import { type Client, type Database, transaction } from '../postgres/pool.ts';
import type { ProjectorObserver } from '../projections/engine/apply.ts';
import { type ProjectorConsumer, startConsumer } from '../projections/engine/consumer.ts';
import type { Consumers } from '../projections/engine/consumers.ts';
import type { StoredProgress } from '../projections/engine/lag.ts';
import { makeTables } from '../projections/generations/generations.ts';
import { headsOf, type StreamIndex } from '../event-store/stream-index.ts';
import { createPostgresStore } from '../projections/engine/postgres-store.ts';
import { createProjector } from '../projections/engine/projector.ts';
import { queueOf, type QueueScope } from './queue.ts';
import { MOMENT_MS } from './runner.ts';

/** Of the tables of a queue: another version is a schema of its own, made of the log from its beginning. */
const QUEUE_VERSION = 4;

/** Where a consumer group keeps its queue. */
export const queueSchema = (namespace: string, { group }: QueueScope) => `${namespace}_${group}_${QUEUE_VERSION}`;

export interface QueueFeedOptions {
  readonly log: EventLog;
  readonly placement: Placement;
  readonly scope: QueueScope;
  /** Finds the queue's schema first on its search path, then the namespace's. */
  readonly database: Database;
  readonly logger: Logger;
  readonly onCommitted: ProjectorObserver['committed'];
  /** Consuming ended for good: the process should end. */
  readonly onCrash: (error: Error) => void;
  readonly consumers: Consumers;
  /** Where this database owns the log. */
  readonly ownership?: Ownership | undefined;
}

/** Of jobs that other groups work on nothing is kept. Genesis streams are: their later records must be judged. */
const headsOfQueue = ({ holds }: QueueScope): StreamIndex =>
  headsOf((first) => first.type === 'PartitionOpened' || (first.type === 'JobRequested' && holds(first.request)));

export const jobPartitions = ({ all, namespace }: Placement) =>
  all.filter(({ topic }) => topic === topicOf(namespace, 'jobs'));

/** How far a consumer group has come, whichever process runs it; nothing where none ever has. */
export async function readQueueProgress(
  database: Pick<Database, 'query'>,
  { namespace }: Placement,
  scope: QueueScope,
): Promise<StoredProgress[]> {
  const schema = queueSchema(namespace, scope);
  const text = 'SELECT FROM pg_namespace WHERE nspname = $1';
  if ((await database.query({ text, values: [schema] })).length === 0) return [];
  return database.query<StoredProgress & Record<string, unknown>>({
    text: `SELECT topic, partition, next, stopped FROM "${schema}".checkpoints`,
  });
}

/** Keeps the queue of a consumer group: a projection of the topic of jobs, moved with its checkpoint. */
export async function startQueueFeed(options: QueueFeedOptions): Promise<ProjectorConsumer> {
  const { log, placement, scope, database, logger, onCrash, consumers } = options;
  await database.use((client) => ensureQueue(client, options));
  return startConsumer({
    log,
    database,
    logger,
    onCrash,
    consumers,
    group: `${placement.namespace}.${scope.group}`,
    topics: [topicOf(placement.namespace, 'jobs')],
    partitions: jobPartitions(placement),
    observer: observerOf(options),
    handlerOf: unhurried,
    projectorOf: (observer) =>
      createProjector({
        store: createPostgresStore(database, [queueOf(scope)], placement.namespace, headsOfQueue(scope)),
        belongs: (stream, where) => placement.belongs(stream, where),
        voids: async () => (await readVoids({ log, namespace: placement.namespace, database })).isVoid,
        ends: (some) => log.ends(some),
        observer,
        ownership: options.ownership,
      }),
  });
}

/** The projector of the read models reports what is wrong with a record; here it is enough that nothing is lost. */
function observerOf({ logger, scope: { group }, onCommitted }: QueueFeedOptions): ProjectorObserver {
  return {
    committed: onCommitted,
    lost: () => undefined,
    quarantined: (record, reason) => logger.error({ group, stream: record.key, reason }, 'a job cannot be queued'),
    stopped: () => undefined,
  };
}

/** Up to so many records nobody hurries for: what comes in the same moment is the next delivery, and one transaction. */
const FEW_RECORDS = 100;

/** A request is not kept waiting by this, only the work that it asks for. */
function unhurried({ assigned, deliver }: SubscriptionHandler): SubscriptionHandler {
  return {
    assigned,
    async deliver(slices, context) {
      const records = slices.reduce((sum, slice) => sum + slice.records.length, 0);
      const moment = records <= FEW_RECORDS ? sleep(MOMENT_MS, context.signal) : undefined;
      const nexts = await deliver(slices, context);
      await moment;
      return nexts;
    },
  };
}

/** Makes the queue's tables where there are none, one process at a time. */
function ensureQueue(client: Client, { placement, scope }: QueueFeedOptions): Promise<void> {
  const schema = queueSchema(placement.namespace, scope);
  return transaction(client, async () => {
    await lockTransaction(client, `openmusic queue ${schema}`);
    const { rowCount } = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema]);
    if (rowCount) return;
    await makeTables(client, schema, [headsOfQueue(scope).ddl, queueOf(scope).ddl], jobPartitions(placement));
  });
}
