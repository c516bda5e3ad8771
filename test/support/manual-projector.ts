import { partitionKey, type Position, type TopicPartition } from '../../src/events/record.ts';
import type { Slice } from '../../src/log/event-log.ts';
import { voidsOf, voidTestOf } from '../../src/log/voids.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import type { Generation } from '../../src/projections/generations/generations.ts';
import { createPostgresStore } from '../../src/projections/engine/postgres-store.ts';
import type { Projection } from '../../src/projections/engine/table.ts';
import type { ProjectorObserver } from '../../src/projections/engine/apply.ts';
import { createProjector, type Projector } from '../../src/projections/engine/projector.ts';
import type { ProjectionStore } from '../../src/projections/engine/store.ts';
import type { Core } from './core.ts';

export interface ManualProjectorOptions {
  readonly wrap?: (store: ProjectionStore) => ProjectionStore;
  readonly observer?: Partial<ProjectorObserver>;
  readonly projections?: readonly Projection[];
  /** Another path to the same Postgres. */
  readonly connection?: PostgresConnection;
  /** The source of the log's records, for tests that change what is read. */
  readonly read?: Core['log']['read'];
  /** A number in [0, 1) for every choice; without it everything is delivered in order and completely. */
  readonly random?: () => number;
}

/** A projector of one generation that the test steps. */
export interface ManualProjector {
  readonly projector: Projector;
  /** Joins again. */
  assigned(): Promise<void>;
  /** Delivers one slice of each partition that has records left; true when one had. */
  step(partitions?: readonly TopicPartition[]): Promise<boolean>;
  /** Steps until no record is left. */
  catchUp(partitions?: readonly TopicPartition[]): Promise<void>;
  close(): Promise<void>;
}

const context = { signal: new AbortController().signal, heartbeat: () => Promise.resolve() };
const silent = () => undefined;
const nothing: ProjectorObserver = { committed: silent, lost: silent, quarantined: silent, stopped: silent };

export async function openManualProjector(
  core: Core,
  generation: Generation,
  options: ManualProjectorOptions = {},
): Promise<ManualProjector> {
  const { log, placement, namespace, rebuildOptions } = core;
  const { projections = rebuildOptions.projections, random } = options;
  const database = openDatabase(options.connection ?? core.connection, {
    name: 'by hand',
    max: 2,
    searchPath: [generation.schema, namespace, 'public'],
    async prepare(client) {
      await client.query('SET synchronous_commit = off');
    },
  });
  const store = createPostgresStore(database, projections, namespace);
  const projector = createProjector({
    store: options.wrap?.(store) ?? store,
    belongs: (stream, where) => placement.belongs(stream, where),
    voids: async () => voidTestOf(await voidsOf(database)),
    ends: (partitions) => log.ends(partitions),
    observer: { ...nothing, ...options.observer },
  });
  const wanted = new Map<string, number | 'stopped'>();
  const read = options.read ?? ((from) => log.read(from));

  async function assigned(): Promise<void> {
    for (const start of await projector.assigned(placement.all)) wanted.set(partitionKey(start), start.offset);
  }

  async function sliceOf(end: Position): Promise<Slice[]> {
    const { topic, partition } = end;
    const offset = wanted.get(partitionKey(end)) ?? 0;
    if (offset === 'stopped' || offset >= end.offset || (random && random() < 0.3)) return [];
    const records = await read({ topic, partition, offset });
    const taken = random ? 1 + Math.floor(random() * Math.min(records.length, 40)) : records.length;
    const [first, ...rest] = records.slice(0, taken);
    return first ? [{ topic, partition, records: [first, ...rest] }] : [];
  }

  async function step(partitions: readonly TopicPartition[] = placement.all): Promise<boolean> {
    const slices = (await Promise.all((await log.ends(partitions)).map(sliceOf))).flat();
    if (slices.length === 0) return false;
    for (const answer of await projector.deliver(slices, context)) wanted.set(partitionKey(answer), answer.next);
    return true;
  }

  async function hasLeft(partitions: readonly TopicPartition[]): Promise<boolean> {
    return (await log.ends(partitions)).some((end) => {
      const offset = wanted.get(partitionKey(end)) ?? 0;
      return offset !== 'stopped' && offset < end.offset;
    });
  }

  await assigned();
  return {
    projector,
    assigned,
    step,
    async catchUp(partitions = placement.all) {
      for (let steps = 0; await hasLeft(partitions); steps++) {
        if (steps > 2_000) throw new Error(`still not done: ${JSON.stringify([...wanted])}`);
        await step(partitions);
      }
    },
    close: () => database.stop(),
  };
}
