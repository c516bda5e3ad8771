import { type ResponseCache, createResponseCache } from '../../../src/cache/response-cache.ts';
import { type CachedResponse, type CacheServer, MARK_MS } from '../../../src/cache/cache.ts';
import { createIncarnation, type Incarnation } from '../../../src/cache/incarnation.ts';
import type { AnyEvent } from '../../../src/events/events.ts';
import { cached } from '../../../src/projections/engine/cache-keys.ts';
import { withMarks } from '../../../src/projections/engine/cache-invalidation.ts';
import type { Commit, CommitOutcome, ProjectionStore } from '../../../src/projections/engine/store.ts';
import type { Accepted } from '../../../src/event-store/judgement.ts';
import type { Actor } from '../scheduler.ts';
import type { ModelRedis } from './redis.ts';
import { type Part, PARTS, type Parts, rowOf, STEP_MS, type World } from './world.ts';

export interface Process {
  readonly actor: Actor;
  /** Detects, sooner or later, that its connection leads to a server that is gone. */
  lose(): void;
  die(): void;
}

const GENERATION = 1;
const ALBUM = 'album-1';
const quiet = {
  hit: () => undefined,
  miss: () => undefined,
  refused: () => undefined,
  marked: () => undefined,
  off: () => undefined,
};

/** The connection of one process: its calls go to the server that it was opened to, while that exists. */
function connect(world: World, actor: Actor): { server: CacheServer; lose: () => void } {
  const { scheduler, plan } = world;
  let redis: ModelRedis = world.redis;
  let reset: () => void = () => undefined;
  const call = async <T>(operation: (cache: CacheServer) => Promise<T>): Promise<T> => {
    const to = redis;
    const cut = scheduler.chance(plan.cuts / 100);
    if (cut && scheduler.chance(0.5)) {
      await scheduler.turn(actor);
      throw new Error('it did not get through');
    }
    const answer = await scheduler.call(actor, () => to.do(operation));
    if (cut || to !== redis) throw new Error('no answer');
    return answer;
  };
  const server: CacheServer = {
    identify: async () => ({ ...(await call((cache) => cache.identify())), runId: redis.runId }),
    begin: (...args) => call((cache) => cache.begin(...args)),
    read: (...args) => call((cache) => cache.read(...args)),
    lease: (...args) => call((cache) => cache.lease(...args)),
    fill: (...args) => call((cache) => cache.fill(...args)),
    mark: (...args) => call((cache) => cache.mark(...args)),
    release: (...args) => call((cache) => cache.release(...args)),
    onReset: (listener) => (reset = listener),
    stop: () => Promise.resolve(),
  };
  const lose = () =>
    void scheduler.sleep(actor, scheduler.pick(100)).then(() => {
      redis = world.redis;
      reset();
    });
  return { server: world.mutation.server(server, world), lose };
}

function startProcess(
  world: World,
  name: string,
): { actor: Actor; server: CacheServer; incarnation: Incarnation; process: Process } {
  const { scheduler, now } = world;
  const actor = scheduler.actor(name);
  const { server, lose } = connect(world, actor);
  const incarnation = createIncarnation({
    server,
    row: rowOf(world, actor),
    now,
    meter: quiet,
    report: () => undefined,
    generation: () => (name.startsWith('reader') ? GENERATION : undefined),
    mayBegin: () => Promise.resolve(true),
    isExclusive: !world.mutation.settles,
    pause: (ms) => scheduler.sleep(actor, Math.ceil(ms / STEP_MS)),
  });
  return { actor, server, incarnation, process: { actor, lose, die: () => scheduler.kill(actor) } };
}

/** The process freezes, and cannot detect it. */
export function pauseProcess({ scheduler }: World, actor: Actor): void {
  actor.pausedUntil = scheduler.time + ([1, 6, 35, 70][scheduler.pick(4)]! * 1_000) / STEP_MS;
}

/** The process freezes for longer than the lifetime of a mark, during which the others take no step, and a little more. */
function outlive({ scheduler }: World, actor: Actor): void {
  const steps = (MARK_MS + 1_000) / STEP_MS;
  scheduler.time += steps;
  actor.pausedUntil = scheduler.time + scheduler.pick(200);
}

/** Reads one answer repeatedly, each time as a client that has seen every earlier answer. */
export function startReader(world: World, name: string): Process {
  const { scheduler, now } = world;
  const { actor, server, incarnation, process } = startProcess(world, name);
  const answers = createResponseCache({ server, incarnation, variant: 'v', now, meter: quiet });
  const read = () => scheduler.call(actor, (): CachedResponse => ({ body: JSON.stringify(world.committed) }));
  for (let client = 0; client < 2; client++) void readOn(world, actor, answers, () => scheduler.turn(actor).then(read));
  return process;
}

async function readOn(
  world: World,
  actor: Actor,
  answers: ResponseCache,
  load: () => Promise<CachedResponse>,
): Promise<void> {
  for (;;) {
    await world.scheduler.turn(actor);
    const acknowledged = { ...world.acknowledged };
    const { answer, source } = await answers.read(cached.album(ALBUM), load);
    const seen = JSON.parse(answer.body) as Parts;
    world.reads += 1;
    if (source === 'cache') world.hits += 1;
    const stale = PARTS.find((part) => seen[part] < acknowledged[part]);
    if (stale)
      world.violation ??= `${actor.name} saw ${stale} ${seen[stale]} from the ${source}, acknowledged was ${acknowledged[stale]}`;
  }
}

const song = { title: 't', year: 2000, genre: 'g', performer: 'p', duration: null };
const EVENTS: Record<Part, { stream: string; event: AnyEvent }> = {
  album: { stream: ALBUM, event: { type: 'AlbumChanged', albumId: ALBUM, name: 'n', year: 2000 } },
  tracks: {
    stream: 'song-1',
    event: { type: 'SongCreated', songId: 'song-1', ...song, albumId: ALBUM },
  },
  songs: {
    stream: 'song-2',
    event: { type: 'SongChanged', songId: 'song-2', ...song, albumId: null },
  },
};

/** Changes one part of the answer repeatedly. */
export function startProjector(world: World, part: Part): Process {
  const { scheduler } = world;
  const { actor, server, incarnation, process } = startProcess(world, `projector of ${part}`);
  const store = withMarks(storeOf(world, actor, part), GENERATION, {
    server,
    incarnation,
    meter: quiet,
    markMs: MARK_MS,
  });
  const { stream, event } = EVENTS[part];
  const accepted = { record: {}, envelope: { stream, version: 1, time: '', actor: '' }, payload: { event } };
  const commit: Commit = { moves: [], accepted: [accepted as unknown as Accepted] };
  void (async () => {
    for (;;) {
      await scheduler.sleep(actor, scheduler.pick(world.plan.maxCalmSteps));
      const outcome = await store.commit(commit).catch(() => 'failed' as const);
      if (typeof outcome === 'object') {
        const value = world.committed[part];
        void (outcome.unmarked ?? Promise.resolve()).then(
          () => (world.acknowledged[part] = Math.max(world.acknowledged[part], value)),
        );
      }
      await scheduler.turn(actor);
    }
  })();
  return process;
}

/** Commits the change at its expected number, as a checkpoint guarantees. */
function storeOf(world: World, actor: Actor, part: Part): ProjectionStore {
  const { scheduler, mutation, committed } = world;
  const commit: ProjectionStore['commit'] = (_commit, cacheGuard) => {
    const from = committed[part];
    if (scheduler.chance(world.plan.projectorPauses / 100)) outlive(world, actor);
    return scheduler.call(actor, (): CommitOutcome => {
      if (committed[part] !== from) return 'missed';
      if (cacheGuard && mutation.rowChecked && cacheGuard.id !== world.row.id) return 'cache-changed';
      if (mutation.ageChecked && world.now() >= (cacheGuard?.before ?? Infinity)) return 'cache-changed';
      committed[part] += 1;
      // Another process may find the verdict before the projector reports it.
      if (scheduler.chance(0.3)) world.acknowledged[part] = committed[part];
      return { onlyServing: true };
    });
  };
  return { commit } as ProjectionStore;
}
