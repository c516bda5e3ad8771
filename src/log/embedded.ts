import { reasonOf } from '../errors.ts';
import { type Position, showPosition } from '../events/record.ts';
import { type Database, openDatabase } from '../postgres/pool.ts';
import { liftTimeLimits } from '../postgres/time-limits.ts';
import { append } from './embedded/append.ts';
import { readFrom } from './embedded/read.ts';
import { EmbeddedSubscription } from './embedded/subscription.ts';
import { Tail } from './embedded/tail.ts';
import {
  beginsOf,
  createTopics,
  deleteExpired,
  deleteTopics,
  describeTopics,
  durabilityOf,
  endsOf,
  partitionsOf,
} from './embedded/topics.ts';
import { holdWriterLock, LogInUse, type WriterLock, type WriterLockOptions } from './embedded/writer-lock.ts';
import type { LogEntry } from './entry.ts';
import { AppendError, type EventLog, type Subscription } from './event-log.ts';

export { LogInUse };

export interface EmbeddedLogOptions extends WriterLockOptions {
  /** Takes no lock, so that it can be opened beside a running server. Appends are refused. */
  readonly readOnly?: boolean;
}

const CONNECTIONS = 6;
const RECORDS_PER_READ = 10_000;
const EXPIRY_EVERY_MS = 3_600_000;

/** The event log in tables of Postgres, written by one process at a time. Rejects with LogInUse when another process writes it. */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<EventLog> {
  const lock = options.readOnly ? undefined : await holdWriterLock(options);
  try {
    return await openLogUnder(lock, options);
  } catch (error) {
    await lock?.stop();
    throw error;
  }
}

/** Opens the log under a lock that is held already. Without one appends are refused. */
export async function openLogUnder(lock: WriterLock | undefined, options: WriterLockOptions): Promise<EventLog> {
  const database = openDatabase(options.connection, {
    name: 'openmusic log',
    max: CONNECTIONS,
    searchPath: [options.namespace],
    prepare: async (client) => {
      await liftTimeLimits(client);
      await client.query('SET synchronous_commit = on');
    },
  });
  try {
    await describeTopics(database, []); // fails now when the tables are missing
    if (lock) await deleteExpired(database);
    return logIn(database, lock, (message) => options.log('error', message));
  } catch (error) {
    await database.stop();
    throw error;
  }
}

function logIn(database: Database, lock: WriterLock | undefined, report: (message: string) => void): EventLog {
  const tail = new Tail();
  const subscriptions = new Set<EmbeddedSubscription>();
  const expiry = lock && setInterval(() => void expire(database, report), EXPIRY_EVERY_MS).unref();

  let closed: Promise<void> | undefined;

  async function subscribe(subscription: Subscription): Promise<EmbeddedSubscription> {
    if (closed) throw new Error('the log is closed');
    await partitionsOf(database, subscription.topics); // rejects now when one does not exist
    const running = new EmbeddedSubscription({ database, tail, report }, subscription);
    subscriptions.add(running);
    return running;
  }

  async function close(): Promise<void> {
    clearInterval(expiry);
    await Promise.all([...subscriptions].map((subscription) => subscription.stop()));
    await database.stop();
    await lock?.stop();
  }

  return {
    async append(batch) {
      if (!lock) throw new AppendError('refused', 'the log is open for reading only');
      if (batch.length === 0) return;
      await lock.held();
      tail.add(await append(database, batch));
      for (const subscription of subscriptions) subscription.wake();
    },
    durability: () => durabilityOf(database),
    describe: (topics) => describeTopics(database, topics),
    createTopics: (topics) => createTopics(database, topics),
    async deleteTopics(topics) {
      if (!lock) throw new Error('the log is open for reading only');
      await lock.held();
      await deleteTopics(database, topics);
      tail.forget(topics);
    },
    begins: (partitions) => beginsOf(database, partitions),
    ends: (partitions) => endsOf(database, partitions),
    read: (from, { maxBytes = 2 ** 20 } = {}) => read(database, from, maxBytes),
    members: () => Promise.resolve([]), // its groups are of this process alone
    subscribe,
    close: () => (closed ??= close()),
  };
}

async function read(database: Database, from: Position, maxBytes: number): Promise<LogEntry[]> {
  const [found] = await readFrom(database, [from], { records: RECORDS_PER_READ, bytes: Math.max(1, maxBytes) });
  if (found) return found.records;
  const [end] = await endsOf(database, [from]);
  if (end && end.offset < from.offset) throw new Error(`${showPosition(from)} is past the log's end, ${end.offset}`);
  return [];
}

async function expire(database: Database, report: (message: string) => void): Promise<void> {
  await deleteExpired(database).catch((error: unknown) =>
    report(`expired records could not be deleted: ${reasonOf(error)}`),
  );
}
