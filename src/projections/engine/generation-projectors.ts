import { reasonOf } from '../../errors.ts';
import { poll } from '../../concurrency/poll.ts';
import type { Stoppable } from '../../lifecycle.ts';
import { throttled } from '../../concurrency/throttle.ts';
import type { Database } from '../../postgres/pool.ts';
import { type ConsumerHealth, lagOf } from './consumers.ts';
import {
  type GenerationProjector,
  type GenerationProjectorOptions,
  startGenerationProjector,
} from './generation-projector.ts';
import { type Generation, retireOlder, servingGenerations } from '../generations/generations.ts';
import { ensureGeneration } from '../generations/rebuild.ts';

export interface GenerationProjectorsOptions extends GenerationProjectorOptions {
  /** Not bound to a generation. */
  readonly admin: Database;
  readonly version: number;
}

/** The health of all generations that are projected, as that of the worst. */
export interface GenerationProjectorsHealth extends Pick<ConsumerHealth, 'caughtUp' | 'stopped'> {
  /** Records that the generation furthest behind has not applied. */
  readonly lag: number;
}

export interface GenerationProjectors extends Stoppable {
  health(): GenerationProjectorsHealth;
}

const POLL_EVERY_MS = 500;

/** The projector role: runs a projector for every serving generation of its version, and makes the first one when there is none. */
export async function startGenerationProjectors(options: GenerationProjectorsOptions): Promise<GenerationProjectors> {
  const { admin, version, placement, logger } = options;
  const projectors = new Map<number, GenerationProjector>();
  await ensureGeneration(options, new AbortController().signal);
  await follow();

  async function follow(): Promise<void> {
    const serving = await admin.use((client) => servingGenerations(client, version));
    const [newest] = serving;
    for (const generation of serving) if (!projectors.has(generation.id)) await begin(generation);
    for (const [id, projector] of projectors) if (!serving.some((each) => each.id === id)) await end(id, projector);
    if (newest) await admin.use((client) => retireOlder(client, placement.namespace, newest));
  }

  async function begin(generation: Generation): Promise<void> {
    projectors.set(generation.id, await startGenerationProjector(options, generation));
    logger.info(`feeding the read models ${generation.schema}`);
  }

  async function end(id: number, projector: GenerationProjector): Promise<void> {
    projectors.delete(id);
    await projector.stop();
    logger.info(`no longer feeding the read models ${projector.generation.schema}`);
  }

  const warn = throttled((message) => logger.warn(message));
  const following = poll(follow, {
    firstMs: POLL_EVERY_MS,
    everyMs: POLL_EVERY_MS,
    onFailure: (error) => warn(`cannot read the generations: ${reasonOf(error)}`),
  });

  let stopped: Promise<void> | undefined;
  return {
    health: () => worst([...projectors.values()].map((projector) => projector.health())),
    stop: () =>
      (stopped ??= (async () => {
        await following.stop();
        await Promise.all([...projectors.values()].map((projector) => projector.stop()));
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
