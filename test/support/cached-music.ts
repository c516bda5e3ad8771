import { fileURLToPath } from 'node:url';
import { expect } from '@jest/globals';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { type Distributed, type Settings, startDistributed } from './distributed.ts';
import {
  anything,
  type Choice,
  type Load,
  readsOfCached,
  type Violation,
  type PlannedRequest,
  withEvidence,
} from './history/index.ts';
import { behind } from './history/tables.ts';
import { createClient } from './client.ts';
import { entryOf, eventually, metricOf } from './observed.ts';
import { newPerson } from './people.ts';
import type { OpenMusicProcess } from './processes.ts';
import { startRecorder } from './recorder.ts';
import { portOf, sendToRedis } from './redis.ts';
import { type NativeRedis, startNativeRedis } from './servers/index.ts';
import { redisAnswers } from './servers/probes.ts';
import type { Stack } from './shared-stack.ts';
import { answeredIn, type Span, spanOf, printSpans } from './spans.ts';
import { openRedirectableProxy, type RedirectableProxy } from './redirectable-proxy.ts';

export interface CachedMusicOptions {
  /** More settings of every process. */
  readonly env?: Settings;
  /** More settings of each API process; by default two processes without any. */
  readonly apis?: readonly Settings[];
  /** The same for projectors; one by default. With a `FAULT` it runs `faulty-main.ts`. */
  readonly projectors?: readonly Settings[];
  readonly connection?: PostgresConnection;
}

export interface FaultSpans {
  readonly violations: readonly Violation[];
  /** The answers before the fault. */
  readonly before: Span;
  /** The requests in progress at any time during the fault. */
  readonly during: Span;
}

export interface CacheLoad extends Load {
  /**
   * Runs the action once every write is applied, with no write in progress: a mark that cannot be set would turn the cache
   * off. What the action passes to `write` is written anyway, once.
   */
  whileQuiet(what: (write: (request: PlannedRequest) => void) => Promise<unknown>): Promise<void>;
}

/** OpenMusic as processes, each with its own proxy to a Redis of their own. */
export interface CachedMusic extends Stack {
  readonly redis: NativeRedis;
  readonly system: Distributed;
  /** The API processes, in the order of the options. */
  readonly apis: readonly OpenMusicProcess[];
  readonly projectors: readonly OpenMusicProcess[];
  /** The proxies of the API processes. */
  readonly proxies: readonly RedirectableProxy[];
  readonly projectorProxy: RedirectableProxy;
  /**
   * Runs the action while clients write and read cached answers. Before it and after it every process must serve, and
   * answer from the cache. `choice`: what the writing clients request.
   */
  withstand(what: (load: CacheLoad) => Promise<unknown>, choice?: Choice): Promise<FaultSpans>;
}

const faulty = fileURLToPath(new URL('./faulty-main.ts', import.meta.url));
const SERVED = { writes: 20, reads: 300, hits: 75 };
const WITHIN_MS = 180_000;
/**
 * Reads of each of two processes. With the reads meanwhile, the 17 tests with cache faults make more than 50,000 reads.
 * Many of them come after the last write: a stale entry then stays, and cache hits cost least.
 */
const ENOUGH = { writes: 0, reads: 1_500 };
const ENOUGH_WITHIN_MS = 400_000;
const urlOf = ({ host, port }: RedirectableProxy) => `redis://${host}:${port}`;

/** Few clients write, so that most reads find their target. */
const [WRITERS, READERS] = [3, 6];

export async function startCachedMusic(options: CachedMusicOptions = {}): Promise<CachedMusic> {
  const { apis = [{}, {}], projectors = [{}], connection } = options;
  const redis = await startNativeRedis();
  const projectorProxy = await openRedirectableProxy(portOf(redis));
  const proxies = await Promise.all(apis.map(() => openRedirectableProxy(portOf(redis))));
  // Both processes must name the same URLs, so that an answer cached by one is an answer of the other.
  const env = { PUBLIC_URL: 'http://music.test', REDIS_URL: urlOf(projectorProxy), ...options.env };
  const system = await startDistributed({ apis: 0, projectors: 0, env, connection });
  const stop = async () => {
    await system.stop();
    await Promise.all([projectorProxy, ...proxies].map((proxy) => proxy.close()));
    await redis.stop();
  };
  try {
    const projecting = projectors.map((more) =>
      system.startProjector(more, more.FAULT === undefined ? undefined : faulty),
    );
    const serving = apis.map((more, n) => system.startApi({ REDIS_URL: urlOf(proxies[n]!), ...more }));
    const [startedProjectors, startedApis] = await Promise.all([Promise.all(projecting), Promise.all(serving)]);
    const started = { redis, system, proxies, projectorProxy, projectors: startedProjectors, apis: startedApis };
    const stack = { mustBeHealthy: () => mustBeHealthy(started), repair: () => repair(started), stop };
    return Object.assign(withstanding(system), started, stack);
  } catch (error) {
    await stop();
    throw error;
  }
}

type Parts = Omit<CachedMusic, 'withstand' | keyof Stack>;

/** Every process is ready, and every API process answers from the cache. */
async function mustBeHealthy({ apis, projectors }: Parts): Promise<void> {
  const { accessToken } = await newPerson(apis[0]!.url);
  for (const each of [...apis, ...projectors]) {
    const isReady = async () => (await entryOf(each, 'cache')).status === 200;
    await eventually(`${each.url} is ready`, isReady, WITHIN_MS);
  }
  for (const { url } of apis) {
    const list = () => createClient(url, accessToken).get('/playlists');
    const isCached = async () => (await list()).headers.get('x-data-source') === 'cache';
    await eventually(`${url} answers from the cache`, isCached, WITHIN_MS);
  }
}

/** The configuration of Redis that tests change, with its defaults. */
const REDIS_SETTINGS = { maxmemory: '0', 'maxmemory-policy': 'noeviction' };

async function repair({ redis, proxies, projectorProxy, apis, projectors }: Parts): Promise<void> {
  for (const each of [...apis, ...projectors]) each.thaw();
  await redis.thaw();
  if (!(await redisAnswers(redis.url))) await redis.restart();
  for (const [name, value] of Object.entries(REDIS_SETTINGS)) await sendToRedis(redis, 'CONFIG', 'SET', name, value);
  for (const way of [projectorProxy, ...proxies]) {
    way.restore();
    way.redirectTo(portOf(redis));
  }
}

function withstanding({ env, apis }: Distributed): Pick<CachedMusic, 'withstand' | 'isBroken'> {
  const urls = apis.map(({ url }) => url);
  const recorder = startRecorder({ env, urls, rebuild: false });

  async function withstand(
    what: (load: CacheLoad) => Promise<unknown>,
    choice: Choice = anything,
  ): Promise<FaultSpans> {
    const hitsBefore = await hitsOf(apis);
    const { writers, silence, whileQuiet } = silenced(choice, env);
    let [from, to] = [0, 0];
    const happening = async (load: Load) => {
      await load.served(SERVED, WITHIN_MS);
      from = performance.now();
      await what({ ...load, whileQuiet: (happens) => whileQuiet(load, happens) });
      to = performance.now();
      await load.served(SERVED, WITHIN_MS);
      silence();
    };
    const clients = { clients: WRITERS, readers: READERS, choice: writers, look: readsOfCached };
    const history = await recorder.record(clients, async (load) => {
      await Promise.all([load.served(ENOUGH, ENOUGH_WITHIN_MS), happening(load)]);
    });
    const whole = spanOf(history);
    const before = spanOf(history, ({ end }) => end <= from);
    const during = spanOf(history, ({ start, end }) => end > from && start < to);
    printSpans(expect.getState().currentTestName ?? '', { whole, before, during });
    process.stdout.write(`  answered from the cache, by the meter: ${(await hitsOf(apis)) - hitsBefore}\n`);
    expect(answeredIn(whole).length).toBeGreaterThanOrEqual(ENOUGH.reads * urls.length);
    const began = performance.now();
    const violations = await recorder.check(history);
    process.stdout.write(`  checked in ${Math.round(performance.now() - began)} ms\n`);
    return { violations, before, during };
  }

  return {
    withstand,
    get isBroken() {
      return recorder.isBehind;
    },
  };
}

async function hitsOf(apis: readonly OpenMusicProcess[]): Promise<number> {
  const each = await Promise.all(apis.map((api) => metricOf(api, 'openmusic_cache_hits_total')));
  return each.reduce((sum, one) => sum + one, 0);
}

/** The choice of the writing clients, and a way to pause their writes. */
function silenced(choice: Choice, env: Settings) {
  let isQuiet = false;
  const exceptions: PlannedRequest[] = [];
  const writers: Choice = (random, known) => (isQuiet ? exceptions.pop() : choice(random, known));

  const silence = () => void (isQuiet = true);

  async function whileQuiet({ quiet }: Load, happens: (write: (request: PlannedRequest) => void) => Promise<unknown>) {
    silence();
    await quiet();
    await eventually('everything is applied', () => isApplied(env));
    await quiet(); // a client without an answer has repeated its request once
    await happens((request) => exceptions.push(request));
    exceptions.length = 0;
    isQuiet = false;
  }

  return { writers, silence, whileQuiet };
}

/** Whether the read models have everything that is in the log. */
export const isApplied = (env: Settings): Promise<boolean> =>
  withEvidence(env, async ({ log, placement, admin }) => {
    const missing = await behind(admin, await log.ends(placement.all));
    return missing.length === 0;
  });
