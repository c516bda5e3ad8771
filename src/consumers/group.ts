import type { Logger } from 'pino';
import { throttled } from '../concurrency/throttle.ts';
import type { Placement } from '../events/placement.ts';
import { createLeases } from '../jobs/leases.ts';
import type { QueueScope } from '../jobs/queue.ts';
import { queueSchema, startQueueFeed } from '../jobs/queue-feed.ts';
import { type Runner, type RunnerOptions, startRunner } from '../jobs/runner.ts';
import { waitFor } from '../concurrency/poll.ts';
import { untilAborted } from '../concurrency/sleep.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { EventLog } from '../log/event-log.ts';
import type { Ownership } from '../log/ownership.ts';
import type { PostgresConnection } from '../postgres/connection.ts';
import { createNotifier, listen } from '../postgres/listen.ts';
import { type Database, openDatabase } from '../postgres/pool.ts';
import { liftTimeLimits } from '../postgres/time-limits.ts';
import type { ProjectorObserver } from '../projections/engine/apply.ts';
import type { ProjectorConsumer } from '../projections/engine/consumer.ts';
import { type Consumers, lagOf } from '../projections/engine/consumers.ts';

export interface GroupOptions extends Pick<RunnerOptions, 'lanes' | 'concurrency' | 'leaseMs' | 'handle'> {
  /** Which jobs the group takes. */
  readonly scope: QueueScope;
  /** Unique name of this process. */
  readonly worker: string;
  readonly connection: PostgresConnection;
  readonly log: EventLog;
  readonly placement: Placement;
  readonly synchronousCommit: boolean;
  /** Whether other processes may be in the group. */
  readonly distributed: boolean;
  readonly logger: Logger;
  readonly onCrash: (error: Error) => void;
  readonly consumers: Consumers;
  /** Missing where this database does not own the log. */
  readonly ownership?: Ownership | undefined;
  /** Attempts of an earlier owner of the log may run until then. */
  readonly takeOverFrom?: Date | undefined;
  /** Resolves when jobs can be worked on. */
  readonly ready: () => Promise<void>;
}

/** What a group needs to know of the process that joins it. */
export type MemberOptions = Omit<GroupOptions, 'scope' | 'handle'>;

export interface Group extends Stoppable {
  /** `lag`: records that are not yet queued, in all partitions. */
  health(): { readonly caughtUp: boolean; readonly lag: number };
  running(): number;
}

const POLL_EVERY_MS = 50;

/**
 * Joins a consumer group of jobs. Its subscription to the topic of jobs keeps the group's queue for this member's partitions; its runner
 * leases due jobs of all partitions and passes each to `handle`.
 */
export async function startGroup(options: GroupOptions): Promise<Group> {
  const { scope, logger } = options;
  const database = openQueueDatabase(options);
  const report = throttled((message) => logger.warn({ group: scope.group }, message));
  let runner: Runner | undefined;
  const notices = startNotices(options, database, report, (notice) => {
    runner?.wake();
    if (notice === 'job-ended') runner?.recheck();
  });
  const feed = await startQueueFeed({ ...options, database, onCommitted: notices.onCommitted }).catch(
    async (error: unknown) => {
      await notices.stop();
      await database.stop();
      throw error;
    },
  );
  const stopping = new AbortController();
  const starting = (async () => {
    await untilReady(options, feed, stopping.signal);
    if (!stopping.signal.aborted) runner = startRunner({ ...options, leases: leasesOf(options, database), report });
  })();
  return {
    health() {
      const health = feed.health();
      return { caughtUp: health.caughtUp, lag: lagOf(health) };
    },
    running: () => runner?.running ?? 0,
    async stop() {
      stopping.abort();
      await starting;
      await runner?.stop();
      await notices.stop();
      await feed.stop();
      await database.stop();
    },
  };
}

const openQueueDatabase = ({ connection, scope, placement: { namespace }, synchronousCommit }: GroupOptions) =>
  openDatabase(connection, {
    name: `openmusic ${scope.group}`,
    max: 6,
    searchPath: [queueSchema(namespace, scope), namespace, 'public'],
    async prepare(client) {
      await liftTimeLimits(client);
      await client.query(`SET synchronous_commit = ${synchronousCommit ? 'on' : 'off'}`);
    },
  });

const leasesOf = ({ worker, leaseMs, takeOverFrom }: GroupOptions, database: Database) =>
  createLeases(database, worker, leaseMs, takeOverFrom);

/** `job-due`: a job may be due. `job-ended`: a job that runs may have ended. Their wire names are older than these. */
type Notice = 'job-due' | 'job-ended';
const WIRE_NAMES = { 'job-due': 'wake', 'job-ended': 'look' } as const;

/** Calls `onNotice` after commits of this process and, where there are others in the group, of those. */
function startNotices(
  { connection, distributed, scope, placement: { namespace } }: GroupOptions,
  database: Database,
  report: (message: string) => void,
  onNotice: (notice: Notice) => void,
) {
  const channel = `${namespace} ${scope.group}`;
  const notify = distributed ? createNotifier(database, channel) : undefined;
  // A notice without a payload comes after a lost connection: a job may be due, and another may have ended.
  const onMessage = (name: string | undefined) => onNotice(name === WIRE_NAMES['job-due'] ? 'job-due' : 'job-ended');
  const listener = distributed ? listen({ connection, channel, onNotice: onMessage, report }) : undefined;
  return {
    onCommitted(commit: Commit) {
      const notice = noticeOf(commit, scope);
      if (notice === undefined) return;
      onNotice(notice);
      notify?.([WIRE_NAMES[notice]]);
    },
    stop: async () => listener?.stop(),
  };
}

type Commit = Parameters<ProjectorObserver['committed']>[0];

/** What a commit means for the runners of the group; undefined when it means nothing to them. */
function noticeOf({ accepted }: Commit, { holds }: QueueScope): Notice | undefined {
  let notice: Notice | undefined;
  for (const { payload } of accepted) {
    if (typeof payload === 'string' || 'poison' in payload) continue;
    const { event } = payload;
    if (event.type === 'JobCancelled') return 'job-ended';
    const isRequest = event.type === 'JobRequested' || event.type === 'JobRetried';
    const makesDue = isRequest
      ? holds(event.request)
      : event.type === 'JobAttemptFailed' || event.type === 'JobOccurred';
    if (makesDue) notice = 'job-due';
  }
  return notice;
}

/** Resolves when jobs can be worked on and the queue has all that was in the log at the start, or when the signal fires. */
async function untilReady({ ready }: GroupOptions, feed: ProjectorConsumer, signal: AbortSignal): Promise<void> {
  const isCaughtUp = () => Promise.resolve(feed.health().caughtUp || undefined);
  const caughtUp = waitFor(isCaughtUp, { everyMs: POLL_EVERY_MS, withinMs: Infinity, signal });
  await Promise.race([untilAborted(signal), Promise.all([ready(), caughtUp])]);
}
