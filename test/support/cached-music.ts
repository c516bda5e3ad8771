import { fileURLToPath } from 'node:url';
import { expect } from '@jest/globals';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { type Distributed, type Settings, startDistributed } from './distributed.ts';
import {
  anything,
  checkServed,
  type Choice,
  type Load,
  type Operation,
  readsOfCached,
  recordHistory,
  type Violation,
} from './history/index.ts';
import { metricOf } from './observed.ts';
import type { OpenMusicProcess } from './processes.ts';
import { portOf } from './redis.ts';
import { type NativeRedis, startNativeRedis } from './servers/index.ts';
import { type Span, spanOf, tellSpans } from './spans.ts';
import { openWay, type Way } from './way.ts';

export interface CachedMusicOptions {
  /** More settings of each API process; two without any, unless given. */
  readonly apis?: readonly Settings[];
  /** The same of projectors; one, unless given. With a `FAULT` it is `faulty-main.ts`. */
  readonly projectors?: readonly Settings[];
  readonly connection?: PostgresConnection;
}

export interface Withstood {
  readonly violations: readonly Violation[];
  /** What was answered while nothing was wrong yet. */
  readonly before: Span;
  /** What was under way at any time while something was. */
  readonly during: Span;
}

export interface CacheLoad extends Load {
  /** Lets nobody write while this happens: a mark that cannot be set would turn the cache off. */
  whileQuiet(what: () => Promise<unknown>): Promise<void>;
}

/** OpenMusic as processes, each with a way of its own to a Redis of their own. */
export interface CachedMusic {
  readonly redis: NativeRedis;
  readonly system: Distributed;
  /** In the order of the options. */
  readonly apis: readonly OpenMusicProcess[];
  readonly projectors: readonly OpenMusicProcess[];
  /** Of each API process. */
  readonly ways: readonly Way[];
  readonly projectorWay: Way;
  /**
   * Lets something happen while clients write and read what is cached. Before it and after it every process must serve, and
   * answer from the cache. `choice`: what those do who write.
   */
  withstand(what: (load: CacheLoad) => Promise<unknown>, choice?: Choice): Promise<Withstood>;
  stop(): Promise<void>;
}

const faulty = fileURLToPath(new URL('./faulty-main.ts', import.meta.url));
const SERVED = { writes: 20, reads: 600, hits: 150 };
const WITHIN_MS = 90_000;
const urlOf = ({ host, port }: Way) => `redis://${host}:${port}`;

/** Few write, so that most of what is read is there. */
const [WRITERS, READERS] = [3, 6];

export async function startCachedMusic(options: CachedMusicOptions = {}): Promise<CachedMusic> {
  const { apis = [{}, {}], projectors = [{}], connection } = options;
  const redis = await startNativeRedis();
  const projectorWay = await openWay(portOf(redis));
  const ways = await Promise.all(apis.map(() => openWay(portOf(redis))));
  // What one process caches is an answer of the other only if both name the same URLs.
  const env = { PUBLIC_URL: 'http://music.test', REDIS_URL: urlOf(projectorWay) };
  const system = await startDistributed({ apis: 0, projectors: 0, env, connection });
  const stop = async () => {
    await system.stop();
    await Promise.all([projectorWay, ...ways].map((way) => way.close()));
    await redis.stop();
  };
  try {
    const projecting = projectors.map((more) =>
      system.startProjector(more, more.FAULT === undefined ? undefined : faulty),
    );
    const serving = apis.map((more, n) => system.startApi({ REDIS_URL: urlOf(ways[n]!), ...more }));
    const [startedProjectors, startedApis] = await Promise.all([Promise.all(projecting), Promise.all(serving)]);
    const started = { projectors: startedProjectors, apis: startedApis };
    return { redis, system, ways, projectorWay, ...started, withstand: withstanding(system), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function withstanding(system: Distributed): CachedMusic['withstand'] {
  /** By all so far: they share one log. */
  const operations: Operation[] = [];

  return async (what, choice = anything) => {
    const urls = system.apis.map(({ url }) => url);
    const hits = async () => {
      const each = await Promise.all(system.apis.map((api) => metricOf(api, 'openmusic_cache_hits_total')));
      return each.reduce((sum, one) => sum + one, 0);
    };
    const hitsBefore = await hits();
    let [from, to] = [0, 0];
    let isQuiet = false;
    const writers: Choice = (random, known) => (isQuiet ? undefined : choice(random, known));
    const load = { urls, clients: WRITERS, readers: READERS, choice: writers, look: readsOfCached };
    const history = await recordHistory(load, async ({ served, quiet }) => {
      const whileQuiet = async (happens: () => Promise<unknown>) => {
        isQuiet = true;
        await quiet();
        await happens();
        isQuiet = false;
      };
      await served(SERVED, WITHIN_MS);
      from = performance.now();
      await what({ served, quiet, whileQuiet });
      to = performance.now();
      await served(SERVED, WITHIN_MS);
    });
    const before = spanOf(history, ({ end }) => end <= from);
    const during = spanOf(history, ({ start, end }) => end > from && start < to);
    tellSpans(expect.getState().currentTestName ?? '', { whole: spanOf(history), before, during });
    process.stdout.write(`  answered from the cache, by the meter: ${(await hits()) - hitsBefore}\n`);
    operations.push(...history.operations);
    const violations = await checkServed({ ...history, operations }, { env: system.env, urls, rebuild: false });
    return { violations, before, during };
  };
}
