import type { Logger } from 'pino';
import { reasonOf } from '../errors.ts';
import type { Placement } from '../events/placement.ts';
import { partitionKey, type Position } from '../events/record.ts';
import type { Faults } from '../faults.ts';
import { sleep, type Stoppable } from '../lifecycle.ts';
import type { EventLog, RunningSubscription } from '../log/event-log.ts';
import { readVoidTest } from '../log/voids.ts';
import type { PostgresConnection } from '../postgres/connection.ts';
import { type Client, type Database, openDatabase } from '../postgres/pool.ts';
import { type Generation, holdGeneration } from './generations.ts';
import { hasReached } from './guard.ts';
import type { CacheRow } from '../cache/known-row.ts';
import { turnOffForChanges } from './cache-row.ts';
import { type Marking, withMarks } from './marked-store.ts';
import { createPostgresStore } from './postgres-store.ts';
import type { Projection } from './projection.ts';
import type { ProjectorObserver } from './apply.ts';
import { createProjector, type Projector } from './projector.ts';
import { listQuarantine, release } from './quarantine.ts';

export interface FeedOptions {
  readonly connection: PostgresConnection;
  readonly log: EventLog;
  readonly placement: Placement;
  readonly projections: readonly Projection[];
  /** Of the projector's own transactions, and of no others. */
  readonly synchronousCommit: boolean;
  readonly observer: ProjectorObserver;
  readonly logger: Logger;
  /** Called when consuming ended for good: the process should end. */
  readonly onCrash: (error: Error) => void;
  readonly faults?: Faults;
  /** What is cached of the rows that a feed changes; without it nothing may be. */
  readonly cache?: Omit<Marking, 'faults'> & { readonly row: CacheRow };
}

export interface FeedHealth {
  readonly stopped: readonly { readonly partition: string; readonly reason: string }[];
  /** Everything that was in the log when the feed began is applied. */
  readonly caughtUp: boolean;
  /** Records that are in the log and not applied, as of the last look. */
  readonly lag: number;
  /** Milliseconds since records began to wait without any being applied; 0 when none wait. */
  readonly stuckMs: number;
}

export interface Feed extends Stoppable {
  readonly generation: Generation;
  health(): FeedHealth;
}

const LOOK_EVERY_MS = 1_000;

/** The database of one build as a projector uses it. */
export function openFeedDatabase(
  { connection, placement, synchronousCommit }: FeedOptions,
  generation: Generation,
  prepare?: (client: Client) => Promise<void>,
): Database {
  return openDatabase(connection, {
    name: 'openmusic projector',
    max: 6,
    searchPath: [generation.schema, placement.namespace, 'public'],
    async prepare(client) {
      await client.query(`SET synchronous_commit = ${synchronousCommit ? 'on' : 'off'}`);
      await prepare?.(client);
    },
  });
}

/** A projector of one build over an open database. What it changes is marked if the build is served. */
export function projectorOf(
  options: FeedOptions,
  database: Database,
  served?: Generation,
  observer = options.observer,
): Projector {
  const { log, placement, projections, faults, cache } = options;
  const store = createPostgresStore(database, projections, placement.namespace);
  return createProjector({
    store: cache && served ? withMarks(store, served.id, { ...cache, faults }) : store,
    belongs: (stream, where) => placement.belongs(stream, where),
    voids: () => readVoidTest(database),
    ends: (partitions) => log.ends(partitions),
    observer,
    faults,
  });
}

/** Feeds a serving build from the log until stopped, in a consumer group of its own. */
export async function startFeed(options: FeedOptions, generation: Generation): Promise<Feed> {
  const { placement, projections, logger } = options;
  const database = openFeedDatabase(options, generation, async (client) => {
    if (await holdGeneration(client, placement.namespace, 'feed', generation.id)) return;
    throw new Error(`Build ${generation.schema} is not served any more.`);
  });
  try {
    await releaseAll(database, projections, logger, options.cache?.row);
    return await feedInto(options, generation, database);
  } catch (error) {
    await database.stop();
    throw error;
  }
}

async function feedInto(options: FeedOptions, generation: Generation, database: Database): Promise<Feed> {
  const { log, placement, logger, observer, onCrash } = options;
  const endsAtStart = await log.ends(placement.all);
  let lastProgress = Date.now();
  const noticing: ProjectorObserver = {
    ...observer,
    committed(commit, word) {
      lastProgress = Date.now();
      observer.committed(commit, word);
    },
  };
  const projector = projectorOf(options, database, generation, noticing);
  const group = `${placement.namespace}.projector.${generation.schema}`;
  const subscription = await log.subscribe({ group, topics: placement.topics, handler: projector, onCrash });
  const watch = watchFeed({ log, logger, database, projector, subscription, endsAtStart });
  let stopped: Promise<void> | undefined;
  return {
    generation,
    health: () => watch.health(lastProgress),
    stop: () =>
      (stopped ??= (async () => {
        await watch.stop();
        await subscription.stop();
        await projector.told();
        await database.stop();
      })()),
  };
}

interface Watched extends Pick<FeedOptions, 'log' | 'logger'> {
  readonly database: Database;
  readonly projector: Projector;
  readonly subscription: RunningSubscription;
  readonly endsAtStart: readonly Position[];
}

/** Looks every second how far the projector is behind the log, and starts again what can go on. */
export function watchFeed({ log, logger, database, projector, subscription, endsAtStart }: Watched) {
  let caughtUp = false;
  let lag = 0;
  let waitingSince: number | undefined;

  async function look(): Promise<void> {
    for (const position of await projector.retryStopped()) subscription.resume(position);
    const positions = projector.positions();
    const ends = await log.ends(positions);
    await projector.compareEnds(ends);
    lag = lagBehind(positions, ends);
    waitingSince = lag > 0 ? (waitingSince ?? Date.now()) : undefined;
    caughtUp ||= await hasReached(database, endsAtStart);
  }

  const stopping = new AbortController();
  const looking = (async () => {
    while (!stopping.signal.aborted) {
      await look().catch((error: unknown) => logger.warn(`the lag is not to be had: ${reasonOf(error)}`));
      await sleep(LOOK_EVERY_MS, stopping.signal);
    }
  })();
  return {
    health: (lastProgress: number): FeedHealth => ({
      stopped: projector.stopped().map((each) => ({ partition: partitionKey(each), reason: each.reason })),
      caughtUp,
      lag,
      stuckMs: waitingSince === undefined ? 0 : Date.now() - Math.max(waitingSince, lastProgress),
    }),
    async stop(): Promise<void> {
      stopping.abort();
      await looking;
    },
  };
}

/** Every start tries again: what could not be decoded yesterday may be known to today's code. */
async function releaseAll(
  database: Database,
  projections: readonly Projection[],
  logger: Logger,
  cache: CacheRow | undefined,
): Promise<void> {
  const quarantined = await listQuarantine(database);
  const cacheOff = cache && quarantined.length > 0 ? await turnOffForChanges(cache) : undefined;
  for (const { stream } of quarantined) {
    const still = await release(database, projections, stream, cacheOff);
    if (still) logger.error({ stream, version: still.version }, `still quarantined: ${still.reason}`);
    else logger.info({ stream }, 'released from quarantine');
  }
}

function lagBehind(positions: readonly Position[], ends: readonly Position[]): number {
  const endOf = new Map(ends.map((end) => [partitionKey(end), end.offset]));
  return positions.reduce((sum, each) => sum + Math.max(0, (endOf.get(partitionKey(each)) ?? 0) - each.offset), 0);
}
