import { reasonOf } from '../../errors.ts';
import { sleep } from '../../concurrency/sleep.ts';
import type { Stoppable } from '../../lifecycle.ts';
import { throttled } from '../../concurrency/throttle.ts';
import type { Database } from '../../postgres/pool.ts';
import { type ConsumerHealth, lagOf } from './consumers.ts';
import {
  type GenerationProjector,
  type GenerationProjectorOptions,
  startGenerationProjector,
} from './generation-projector.ts';
import { type Generation, retireOlder, servingBuilds } from '../generations/generations.ts';
import { ensureBuild } from '../generations/rebuild.ts';

export interface GenerationProjectorsOptions extends GenerationProjectorOptions {
  /** Not bound to a generation. */
  readonly admin: Database;
  readonly version: number;
}

/** Of all builds that are fed: what is wrong with any of them. */
export interface GenerationProjectorsHealth extends Pick<ConsumerHealth, 'caughtUp' | 'stopped'> {
  /** Of the build that is furthest behind. */
  readonly lag: number;
}

export interface GenerationProjectors extends Stoppable {
  health(): GenerationProjectorsHealth;
}

const LOOK_EVERY_MS = 500;

/** The projector role: feeds every serving build of its version, and makes the first one when there is none. */
export async function startGenerationProjectors(options: GenerationProjectorsOptions): Promise<GenerationProjectors> {
  const { admin, version, placement, logger } = options;
  const feeds = new Map<number, GenerationProjector>();
  const stopping = new AbortController();
  await ensureBuild(options, stopping.signal);
  await follow();

  async function follow(): Promise<void> {
    const serving = await admin.use((client) => servingBuilds(client, version));
    const [newest] = serving;
    for (const generation of serving) if (!feeds.has(generation.id)) await begin(generation);
    for (const [id, feed] of feeds) if (!serving.some((each) => each.id === id)) await end(id, feed);
    if (newest) await admin.use((client) => retireOlder(client, placement.namespace, newest));
  }

  async function begin(generation: Generation): Promise<void> {
    feeds.set(generation.id, await startGenerationProjector(options, generation));
    logger.info(`feeding the read models ${generation.schema}`);
  }

  async function end(id: number, feed: GenerationProjector): Promise<void> {
    feeds.delete(id);
    await feed.stop();
    logger.info(`no longer feeding the read models ${feed.generation.schema}`);
  }

  const warn = throttled((message) => logger.warn(message));
  const following = (async () => {
    while (!stopping.signal.aborted) {
      await sleep(LOOK_EVERY_MS, stopping.signal);
      await follow().catch((error: unknown) => warn(`the builds are not known: ${reasonOf(error)}`));
    }
  })();

  let stopped: Promise<void> | undefined;
  return {
    health: () => worst([...feeds.values()].map((feed) => feed.health())),
    stop: () =>
      (stopped ??= (async () => {
        stopping.abort();
        await following;
        await Promise.all([...feeds.values()].map((feed) => feed.stop()));
      })()),
  };
}

function worst(all: readonly ConsumerHealth[]): GenerationProjectorsHealth {
  return {
    stopped: all.flatMap(({ stopped }) => stopped),
    caughtUp: all.every(({ caughtUp }) => caughtUp),
    lag: Math.max(0, ...all.map(lagOf)),
  };
}
