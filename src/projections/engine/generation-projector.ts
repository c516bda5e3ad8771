import type { Logger } from 'pino';
import type { Placement } from '../../events/placement.ts';
import type { Faults } from '../../faults.ts';
import type { Stoppable } from '../../lifecycle.ts';
import type { EventLog } from '../../log/event-log.ts';
import type { Ownership } from '../../log/ownership.ts';
import { readVoids } from '../../log/void-topic.ts';
import type { PostgresConnection } from '../../postgres/connection.ts';
import { type Client, type Database, openDatabase } from '../../postgres/pool.ts';
import { liftTimeLimits } from '../../postgres/time-limits.ts';
import { startConsumer } from './consumer.ts';
import type { ConsumerHealth, Consumers } from './consumers.ts';
import { type Generation, holdGeneration } from '../generations/generations.ts';
import type { CacheRow } from '../../cache/cache-state.ts';
import { turnOffForChanges } from './cache-row.ts';
import { type Marking, withMarks } from './cache-invalidation.ts';
import { createPostgresStore } from './postgres-store.ts';
import type { Projection } from './table.ts';
import type { ProjectorObserver } from './apply.ts';
import { createProjector, type Projector } from './projector.ts';
import { listQuarantine, release } from './quarantine.ts';

/** What is needed to apply the log to a generation. */
export interface ApplyOptions {
  readonly connection: PostgresConnection;
  readonly log: EventLog;
  readonly placement: Placement;
  readonly projections: readonly Projection[];
  /** The setting of the projector's own transactions. */
  readonly synchronousCommit: boolean;
  readonly observer: ProjectorObserver;
  readonly logger: Logger;
  readonly faults?: Faults;
  /** Given where the database that is written to owns the log. */
  readonly ownership?: Ownership | undefined;
  /** The cache whose answers the projector invalidates; undefined only where nothing is cached. */
  readonly cache?: Omit<Marking, 'faults'> & { readonly row: CacheRow };
}

export interface GenerationProjectorOptions extends ApplyOptions {
  /** Called when consuming has ended for good, so that the process can end. */
  readonly onCrash: (error: Error) => void;
  readonly consumers: Consumers;
}

export interface GenerationProjector extends Stoppable {
  readonly generation: Generation;
  health(): ConsumerHealth;
}

/** Opens the database of one generation as a projector uses it. */
export function openProjectorDatabase(
  { connection, placement, synchronousCommit }: ApplyOptions,
  generation: Generation,
  prepare?: (client: Client) => Promise<void>,
): Database {
  return openDatabase(connection, {
    name: 'openmusic projector',
    max: 6,
    searchPath: [generation.schema, placement.namespace, 'public'],
    async prepare(client) {
      await liftTimeLimits(client);
      await client.query(`SET synchronous_commit = ${synchronousCommit ? 'on' : 'off'}`);
      await prepare?.(client);
    },
  });
}

/** A projector of one generation over an open database. With `served` it marks cached answers that it changes. */
export function projectorOf(
  options: ApplyOptions,
  database: Database,
  served?: Generation,
  observer = options.observer,
): Projector {
  const { log, placement, projections, faults, cache, ownership } = options;
  const store = createPostgresStore(database, projections, placement.namespace);
  return createProjector({
    store: cache && served ? withMarks(store, served.id, { ...cache, faults }) : store,
    belongs: (stream, where) => placement.belongs(stream, where),
    voids: async () => (await readVoids({ log, namespace: placement.namespace, database })).isVoid,
    ends: (partitions) => log.ends(partitions),
    observer,
    faults,
    ownership,
  });
}

/** Applies the log to a serving generation until stopped, in a consumer group of its own. */
export async function startGenerationProjector(
  options: GenerationProjectorOptions,
  generation: Generation,
): Promise<GenerationProjector> {
  const { placement, projections, logger } = options;
  const database = openProjectorDatabase(options, generation, async (client) => {
    if (await holdGeneration(client, placement.namespace, 'feed', generation.id)) return;
    throw new Error(`Generation ${generation.schema} no longer serves.`);
  });
  try {
    await releaseAll(database, projections, logger, options.cache?.row);
    return await startIn(options, generation, database);
  } catch (error) {
    await database.stop();
    throw error;
  }
}

async function startIn(
  options: GenerationProjectorOptions,
  generation: Generation,
  database: Database,
): Promise<GenerationProjector> {
  const { log, logger, placement, observer, onCrash, consumers } = options;
  const consumer = await startConsumer({
    log,
    logger,
    database,
    observer,
    onCrash,
    consumers,
    group: projectorGroup(placement, generation),
    topics: placement.topics,
    partitions: placement.all,
    projectorOf: (watched) => projectorOf(options, database, generation, watched),
  });
  let stopped: Promise<void> | undefined;
  return {
    generation,
    health: consumer.health,
    stop: () =>
      (stopped ??= (async () => {
        await consumer.stop();
        await database.stop();
      })()),
  };
}

/** The consumer group that applies the log to one generation. */
export const projectorGroup = ({ namespace }: Placement, { schema }: Generation): string =>
  `${namespace}.projector.${schema}`;

/** Applies quarantined streams again at every start, because newer code may decode what older code could not. */
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
