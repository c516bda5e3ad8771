import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect } from '@jest/globals';
import { WORKER } from '../../src/consumers/worker.ts';
import type { TopicPartition } from '../../src/events/record.ts';
import { queueSchema, startQueueFeed } from '../../src/jobs/queue-feed.ts';
import { readVoids } from '../../src/log/void-topic.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { type ConsumerHealth, Consumers, lagOf } from '../../src/projections/engine/consumers.ts';
import { rebuild } from '../../src/projections/generations/rebuild.ts';
import { type LogReport, verifyLog } from '../../src/projections/generations/verify.ts';
import type { Core } from './core.ts';
import { until } from './servers/waiting.ts';

const never = new AbortController().signal;
/** A decompression bomb is unpacked up to its limit several times before a partition stops. */
const WITHIN_MS = 40_000;

export async function verify({ log, placement, admin }: Core): Promise<LogReport> {
  const { voids } = await readVoids({ log, namespace: placement.namespace, database: admin });
  return verifyLog({ log, placement, voids });
}

export const rebuildNow = (core: Core) => rebuild(core.rebuildOptions, never);

/** The job queue of the workers, maintained while `work` runs. */
export async function withQueue<T>(core: Core, work: (health: () => ConsumerHealth) => Promise<T>): Promise<T> {
  const { log, placement, connection, namespace } = core;
  const searchPath = [queueSchema(namespace, WORKER), namespace, 'public'];
  const database = openDatabase(connection, { name: 'queue', max: 3, searchPath });
  const consumer = await startQueueFeed({
    log,
    placement,
    scope: WORKER,
    database,
    logger: pino({ level: 'silent' }),
    consumers: new Consumers(new Registry(), 30_000),
    onCommitted: () => undefined,
    onCrash: (error) => {
      throw error;
    },
  });
  try {
    return await work(() => consumer.health());
  } finally {
    await consumer.stop();
    await database.stop();
  }
}

const accepted = async (core: Core) => (await core.rows('stream_events')).length;

type AtTheEnd = Pick<ConsumerHealth, 'caughtUp' | 'stopped'> & { readonly lag: number };

/** Waits until a consumer of the log has applied everything. */
async function atTheEnd(health: () => AtTheEnd | undefined): Promise<void> {
  await until(
    () => Promise.resolve(health()?.caughtUp === true && health()?.lag === 0),
    WITHIN_MS,
    () => `it has not caught up: ${JSON.stringify(health())}`,
  );
  expect(health()?.stopped).toEqual([]);
}

/**
 * Asks the live projector, a newly started one, the job queue, a rebuild and verify. Each must reach the end of the log,
 * with the same number of winners. Returns verify's report.
 */
export async function askEveryJudge(core: Core): Promise<LogReport> {
  await core.settled();
  const live = await accepted(core);
  await core.stopProjectors();
  await core.startProjectors();
  await core.settled();
  expect(await accepted(core)).toBe(live);
  await atTheEnd(() => core.projectors?.health());
  await withQueue(core, (health) => atTheEnd(() => ({ ...health(), lag: lagOf(health()) })));
  const built = await rebuildNow(core);
  expect(built).toMatchObject({ differences: [], served: true });
  const report = await verify(core);
  expect(report.faults).toEqual([]);
  expect(report.partitions.reduce((sum, { winners }) => sum + winners, 0)).toBe(live);
  return report;
}

/** Waits until the live projector has stopped the partition; returns the reason. */
export async function stoppedAt(core: Core, { topic, partition }: TopicPartition): Promise<string> {
  let reason: string | undefined;
  await until(
    () => {
      const stopped = core.projectors?.health().stopped ?? [];
      reason = stopped.find((each) => each.partition === `${topic}/${partition}`)?.reason;
      return Promise.resolve(reason !== undefined);
    },
    WITHIN_MS,
    () => `nothing stopped: ${JSON.stringify(core.projectors?.health())}`,
  );
  return reason ?? '';
}
