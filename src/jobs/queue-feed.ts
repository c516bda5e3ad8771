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
import { COALESCE_MS } from './runner.ts';

/** Version of a queue's tables. Each version has its own schema, which is built from the beginning of the log. */
const QUEUE_VERSION = 4;

/** The schema of a consumer group's queue. */
export const queueSchema = (namespace: string, { group }: QueueScope) => `${namespace}_${group}_${QUEUE_VERSION}`;

export interface QueueFeedOptions {
  readonly log: EventLog;
  readonly placement: Placement;
  readonly scope: QueueScope;
  /** Has the queue's schema first on its search path, and then the namespace's. */
  readonly database: Database;
  readonly logger: Logger;
  readonly onCommitted: ProjectorObserver['committed'];
  /** Called when consuming has ended for good: the process should end. */
  readonly onCrash: (error: Error) => void;
  readonly consumers: Consumers;
  /** Missing where this database does not own the log. */
  readonly ownership?: Ownership | undefined;
}

/** Heads are kept of this group's jobs only, and of genesis streams, whose later records must be judged. */
const headsOfQueue = ({ holds }: QueueScope): StreamIndex =>
  headsOf((first) => first.type === 'PartitionOpened' || (first.type === 'JobRequested' && holds(first.request)));

export const jobPartitions = ({ all, namespace }: Placement) =>
  all.filter(({ topic }) => topic === topicOf(namespace, 'jobs'));

/** How far a consumer group has come, in whichever process it runs. Empty when no process has run it yet. */
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
    handlerOf: coalesced,
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

/** The projector of the read models already reports faulty records, so here only a job that cannot be queued is logged. */
function observerOf({ logger, scope: { group }, onCommitted }: QueueFeedOptions): ProjectorObserver {
  return {
    committed: onCommitted,
    lost: () => undefined,
    quarantined: (record, reason) => logger.error({ group, stream: record.key, reason }, 'a job cannot be queued'),
    stopped: () => undefined,
  };
}

/** After a delivery of so few records the next one waits a moment, so that records of the same time are one transaction. */
const FEW_RECORDS = 100;

/** This delays the start of a job, never the answer to the request for it. */
function coalesced({ assigned, deliver }: SubscriptionHandler): SubscriptionHandler {
  return {
    assigned,
    async deliver(slices, context) {
      const records = slices.reduce((sum, slice) => sum + slice.records.length, 0);
      const moment = records <= FEW_RECORDS ? sleep(COALESCE_MS, context.signal) : undefined;
      const nexts = await deliver(slices, context);
      await moment;
      return nexts;
    },
  };
}

/** Creates the queue's tables when they are missing, one process at a time. */
function ensureQueue(client: Client, { placement, scope }: QueueFeedOptions): Promise<void> {
  const schema = queueSchema(placement.namespace, scope);
  return transaction(client, async () => {
    await lockTransaction(client, `openmusic queue ${schema}`);
    const { rowCount } = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema]);
    if (rowCount) return;
    await makeTables(client, schema, [headsOfQueue(scope).ddl, queueOf(scope).ddl], jobPartitions(placement));
  });
}
