import { once } from 'node:events';
import type { Logger } from 'pino';
import type { Placement } from '../events/placement.ts';
import { sleep } from '../concurrency/sleep.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { EventLog } from '../log/event-log.ts';
import type { Ownership } from '../log/ownership.ts';
import type { PostgresConnection } from '../postgres/connection.ts';
import { createNotifier, listen } from '../postgres/listen.ts';
import { openDatabase } from '../postgres/pool.ts';
import { liftTimeLimits } from '../postgres/time-limits.ts';
import type { ProjectorObserver } from '../projections/engine/apply.ts';
import type { ProjectorConsumer } from '../projections/engine/consumer.ts';
import { type Consumers, lagOf } from '../projections/engine/consumers.ts';
import { throttled } from '../concurrency/throttle.ts';
import { createLeases } from '../jobs/leases.ts';
import type { QueueScope } from '../jobs/queue.ts';
import { queueSchema, startQueueFeed } from '../jobs/queue-feed.ts';
import { type Runner, type RunnerOptions, startRunner } from '../jobs/runner.ts';

export interface GroupOptions extends Pick<RunnerOptions, 'lanes' | 'concurrency' | 'leaseMs' | 'handle'> {
  readonly scope: QueueScope;
  /** That nobody else has. */
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
  /** Where this database owns the log. */
  readonly ownership?: Ownership | undefined;
  /** Attempts of others may still run until then. */
  readonly takeOverFrom?: Date | undefined;
  /** Resolves when jobs can be worked on. */
  readonly ready: () => Promise<void>;
}

export interface Group extends Stoppable {
  /** `lag`: records that wait to be queued, in all partitions. */
  health(): { readonly caughtUp: boolean; readonly lag: number };
  running(): number;
}

const LOOK_EVERY_MS = 50;

/** A member of a consumer group: keeps the group's queue for its partitions, and works on what is due in all of them. */
export async function startGroup(options: GroupOptions): Promise<Group> {
  const { scope, worker, connection, log, placement, logger, leaseMs } = options;
  const { namespace } = placement;
  const database = openDatabase(connection, {
    name: `openmusic ${scope.group}`,
    max: 6,
    searchPath: [queueSchema(namespace, scope), namespace, 'public'],
    async prepare(client) {
      await liftTimeLimits(client);
      await client.query(`SET synchronous_commit = ${options.synchronousCommit ? 'on' : 'off'}`);
    },
  });
  const channel = `${namespace} ${scope.group}`;
  const notify = options.distributed ? createNotifier(database, channel) : undefined;
  let runner: Runner | undefined;
  const onNotice = (what: string | undefined) => {
    runner?.wake();
    if (what !== WAKE) runner?.look();
  };
  const feed = await startQueueFeed({
    log,
    placement,
    scope,
    database,
    logger,
    onCrash: options.onCrash,
    consumers: options.consumers,
    ownership: options.ownership,
    onCommitted(commit) {
      const what = wordOf(commit, scope);
      if (what === undefined) return;
      onNotice(what);
      notify?.([what]);
    },
  });
  const report = throttled((message) => logger.warn({ group: scope.group }, message));
  const listener = options.distributed ? listen({ connection, channel, onNotice, report }) : undefined;
  const stopping = new AbortController();
  const starting = (async () => {
    const stopped = once(stopping.signal, 'abort');
    await Promise.race([stopped, Promise.all([options.ready(), caughtUp(feed, stopping.signal)])]);
    if (!stopping.signal.aborted)
      runner = startRunner({
        ...options,
        leases: createLeases(database, worker, leaseMs, options.takeOverFrom),
        report,
      });
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
      await listener?.stop();
      await feed.stop();
      await database.stop();
    },
  };
}

const WAKE = 'wake';
const LOOK = 'look';

/** What a commit means for those who work: something may be due, or something that runs may have ended. */
function wordOf(
  { accepted }: Parameters<ProjectorObserver['committed']>[0],
  { holds }: QueueScope,
): string | undefined {
  let word: string | undefined;
  for (const { payload } of accepted) {
    if (typeof payload === 'string' || 'poison' in payload) continue;
    const { event } = payload;
    if (event.type === 'JobCancelled') return LOOK;
    const isAsked = event.type === 'JobRequested' || event.type === 'JobRetried';
    if (isAsked ? holds(event.request) : event.type === 'JobAttemptFailed' || event.type === 'JobOccurred') word = WAKE;
  }
  return word;
}

/** Resolves when the queue has everything that was in the log at the start. */
async function caughtUp(feed: ProjectorConsumer, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !feed.health().caughtUp) await sleep(LOOK_EVERY_MS, signal);
}
