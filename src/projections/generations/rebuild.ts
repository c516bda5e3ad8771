import type { Placement } from '../../events/placement.ts';
import { partitionKey, type Position, type TopicPartition } from '../../events/record.ts';
import type { EventLog } from '../../log/event-log.ts';
import { type Client, type Database, transaction } from '../../postgres/pool.ts';
import { waitFor } from '../../concurrency/poll.ts';
import { differences, tableChecksums } from './checksums.ts';
import { type ApplyOptions, openProjectorDatabase, projectorOf } from '../engine/generation-projector.ts';
import { createGeneration, type Generation, listGenerations, retireOlder, servingGenerations } from './generations.ts';
import type { Projector } from '../engine/projector.ts';
import { withRebuildLock } from './rebuild-lock.ts';

export interface RebuildOptions extends ApplyOptions {
  readonly admin: Database;
  readonly version: number;
  /** Records applied so far, of as many as there were at the start. */
  readonly progress?: (applied: number, total: number) => void;
}

export interface RebuildResult {
  readonly generation: Generation;
  readonly records: number;
  readonly seconds: number;
  /** The tables in which the new generation differs from the one that served; empty when equal or when there was none. */
  readonly differences: readonly string[];
  /** The new generation serves. False when it differs. */
  readonly served: boolean;
  /** Older generations that are still read and therefore still projected. */
  readonly stillRead: readonly Generation[];
}

const BYTES_A_READ = 4 * 1024 * 1024;

/** Makes and serves the first generation of the version when there is none; waits while another process makes it. */
export async function ensureGeneration(options: RebuildOptions, signal: AbortSignal): Promise<void> {
  const { admin, placement, version } = options;
  const isServed = async (client: Client) => (await servingGenerations(client, version)).length > 0;
  if (await admin.use(isServed)) return;
  await admin.use((client) =>
    withRebuildLock(client, placement.namespace, { waits: true, signal }, async () => {
      if (!(await isServed(client))) await makeAndServe(options, client, signal);
    }),
  );
}

/**
 * Makes a new generation beside the live ones, replays the log into it from offset 0, compares it with the live one, and serves
 * it if they are equal. Throws RebuildRunning while another process makes one.
 */
export function rebuild(options: RebuildOptions, signal: AbortSignal): Promise<RebuildResult> {
  const { admin, placement } = options;
  return admin.use((client) =>
    withRebuildLock(client, placement.namespace, { waits: false, signal }, () => makeAndServe(options, client, signal)),
  );
}

async function makeAndServe(options: RebuildOptions, client: Client, signal: AbortSignal): Promise<RebuildResult> {
  const began = Date.now();
  await dropAbandoned(client, options.version);
  const [live] = await servingGenerations(client, options.version);
  const generation = await createGeneration(client, options);
  const database = openProjectorDatabase(options, generation);
  try {
    const replay = await startReplay(options, projectorOf(options, database), signal);
    await replay.upTo(await options.log.ends(options.placement.all));
    if (live) await awaitLive(client, live, replay, signal);
    const found = live ? await compare(options, client, live, generation, replay) : [];
    if (found.length === 0) await serve(client, generation, replay);
    const stillRead = found.length === 0 ? await retireOlder(client, options.placement.namespace, generation) : [];
    const seconds = (Date.now() - began) / 1000;
    return {
      generation,
      records: replay.applied(),
      seconds,
      differences: found,
      served: found.length === 0,
      stillRead,
    };
  } finally {
    await database.stop();
  }
}

/** Drops generations that were begun and never served. We hold the lock of their makers, so these have ended. */
async function dropAbandoned(client: Client, version: number): Promise<void> {
  for (const { id, schema, state, version: itsVersion } of await listGenerations(client)) {
    if (state !== 'building' || itsVersion !== version) continue;
    await client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`);
    await client.query(`UPDATE generations SET state = 'retired', retired_at = now() WHERE id = $1`, [id]);
  }
}

interface Replay {
  /** Applies records up to these positions and not one further. */
  upTo(ends: readonly Position[]): Promise<void>;
  applied(): number;
  /** The next offset to apply of the partition. */
  next(where: TopicPartition): number;
}

/** Drives a projector over the log by reading it directly, without a consumer group, so that it stops at exact positions. */
async function startReplay(
  { log, placement, progress }: Pick<RebuildOptions, 'progress'> & { log: EventLog; placement: Placement },
  projector: Projector,
  signal: AbortSignal,
): Promise<Replay> {
  const context = { signal, heartbeat: () => Promise.resolve() };
  const next = new Map((await projector.assigned(placement.all)).map((start) => [partitionKey(start), start.offset]));
  let applied = 0;
  let total = 0;

  async function step({ topic, partition, offset: end }: Position): Promise<void> {
    const from = { topic, partition, offset: next.get(partitionKey({ topic, partition })) ?? 0 };
    const [first, ...rest] = (await log.read(from, { maxBytes: BYTES_A_READ })).filter(({ offset }) => offset < end);
    if (!first)
      throw new Error(
        `The log returns no records of ${partitionKey(from)} at ${from.offset}, before its end at ${end}.`,
      );
    const [result] = await projector.deliver([{ topic, partition, records: [first, ...rest] }], context);
    if (result?.next === undefined || result.next === 'stopped') {
      throw new Error(`${partitionKey(from)}: ${projector.stopped()[0]?.reason ?? 'the projector stopped'}`);
    }
    applied += Math.max(0, result.next - from.offset);
    next.set(partitionKey(from), result.next);
    progress?.(applied, total);
  }

  return {
    applied: () => applied,
    next: (where) => next.get(partitionKey(where)) ?? 0,
    async upTo(ends) {
      total = ends.reduce((sum, { offset }) => sum + offset, 0);
      for (const end of ends) {
        while ((next.get(partitionKey(end)) ?? 0) < end.offset) {
          signal.throwIfAborted();
          await step(end);
        }
      }
    },
  };
}

/**
 * Stops commits to the live generations while `work` runs, with the new one applied to exactly the same positions. So the new
 * generation has every row that was answered from until now.
 */
function atSamePositions<T>(
  client: Client,
  live: readonly Generation[],
  replay: Replay,
  work: () => Promise<T>,
): Promise<T> {
  return transaction(client, async () => {
    for (const { schema } of live) {
      // The whole table: locks on its rows, taken in another order than a projector's, could wait for each other.
      await client.query(`LOCK TABLE "${schema}".checkpoints IN EXCLUSIVE MODE`);
      await replay.upTo(await checkpointsOf(client, schema));
    }
    return work();
  });
}

async function checkpointsOf(client: Client, schema: string): Promise<Position[]> {
  const text = `SELECT topic, partition, next AS "offset" FROM "${schema}".checkpoints ORDER BY topic, partition`;
  return (await client.query<Position>(text)).rows;
}

const NO_PROGRESS_MS = 10_000;
const POLL_EVERY_MS = 100;

/** Waits for a live generation that has applied less: its projector is a little behind the log, or does not run. */
async function awaitLive(client: Client, { schema }: Generation, replay: Replay, signal: AbortSignal): Promise<void> {
  let least = Infinity;
  let giveUpAt = Infinity;
  const hasCaughtUp = async () => {
    signal.throwIfAborted();
    const checkpoints = await checkpointsOf(client, schema);
    const lag = checkpoints.reduce((sum, at) => sum + Math.max(0, replay.next(at) - at.offset), 0);
    if (lag === 0) return true;
    if (lag < least) giveUpAt = Date.now() + NO_PROGRESS_MS;
    least = Math.min(least, lag);
    if (Date.now() > giveUpAt) {
      throw new Error(
        `${schema}, which serves, has yet to apply ${lag} records that the new generation has. Start a projector, wait until its lag is 0, and run the rebuild again.`,
      );
    }
    return undefined;
  };
  await waitFor(hasCaughtUp, { everyMs: POLL_EVERY_MS, withinMs: Infinity, signal });
}

/** Compares all tables in one snapshot, taken while both generations were at the same positions. */
function compare(
  { admin, projections }: RebuildOptions,
  client: Client,
  live: Generation,
  made: Generation,
  replay: Replay,
): Promise<string[]> {
  return admin.use(async (snapshot) => {
    await atSamePositions(client, [live], replay, async () => {
      await snapshot.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      await snapshot.query('SELECT FROM generations');
    });
    const [one, other] = [
      await tableChecksums(snapshot, made.schema, projections),
      await tableChecksums(snapshot, live.schema, projections),
    ];
    await snapshot.query('COMMIT');
    return differences(one, other);
  });
}

/**
 * From the commit on every answer waits for this generation too, because a process that sees a row that a live generation
 * writes later also sees the new state.
 */
async function serve(client: Client, { id }: Generation, replay: Replay): Promise<void> {
  const live = (await listGenerations(client)).filter(({ state }) => state === 'serving');
  await atSamePositions(client, live, replay, async () => {
    await client.query(`UPDATE generations SET state = 'serving', served_at = now() WHERE id = $1`, [id]);
  });
}
