import { reasonOf } from '../errors.ts';
import { sleep, type Stoppable } from '../lifecycle.ts';
import { throttled } from '../throttle.ts';
import type { Database } from '../postgres/pool.ts';
import { type ConsumerHealth, lagOf } from './consumers.ts';
import { type Feed, type FeedOptions, startFeed } from './feed.ts';
import { type Generation, retireOlder, servingBuilds } from './generations.ts';
import { ensureBuild } from './rebuild.ts';

export interface FeedsOptions extends FeedOptions {
  /** Not bound to a generation. */
  readonly admin: Database;
  readonly version: number;
}

/** Of all builds that are fed: what is wrong with any of them. */
export interface FeedsHealth extends Pick<ConsumerHealth, 'caughtUp' | 'stopped'> {
  /** Of the build that is furthest behind. */
  readonly lag: number;
}

export interface Feeds extends Stoppable {
  health(): FeedsHealth;
}

const LOOK_EVERY_MS = 500;

/** The projector role: feeds every serving build of its version, and makes the first one when there is none. */
export async function startFeeds(options: FeedsOptions): Promise<Feeds> {
  const { admin, version, placement, logger } = options;
  const feeds = new Map<number, Feed>();
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
    feeds.set(generation.id, await startFeed(options, generation));
    logger.info(`feeding the read models ${generation.schema}`);
  }

  async function end(id: number, feed: Feed): Promise<void> {
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

function worst(all: readonly ConsumerHealth[]): FeedsHealth {
  return {
    stopped: all.flatMap(({ stopped }) => stopped),
    caughtUp: all.every(({ caughtUp }) => caughtUp),
    lag: Math.max(0, ...all.map(lagOf)),
  };
}
