import type { CacheServer } from '../../../src/cache/cache.ts';
import type { CacheRow, CacheState } from '../../../src/cache/cache-state.ts';
import { type Actor, Scheduler } from '../scheduler.ts';
import { createMemoryCache } from '../../../src/cache/memory.ts';
import { type Contents, ModelRedis } from './redis.ts';

/** What one schedule is made from. Rates are in thousandths per step. */
export interface Plan {
  readonly seed: number;
  readonly steps: number;
  readonly readers: number;
  /** Steps between two changes by one projector, at most. */
  readonly calm: number;
  readonly wipes: number;
  readonly failovers: number;
  readonly deaths: number;
  readonly naps: number;
  /** Times at which everything stands still for long. */
  readonly jumps: number;
  /** Of commits, in hundredths: the projector stands still between its marks and the commit for longer than they live. */
  readonly dazes: number;
  /** Of calls of the server, in hundredths, that are not answered. */
  readonly cuts: number;
}

/** What is taken out of the protocol, by changing what stands around the code that runs. */
export interface Mutation {
  readonly contents: (now: () => number, world: () => World) => CacheServer;
  /** The server as a process sees it. */
  readonly server: (server: CacheServer, world: World) => CacheServer;
  /** The commit looks at the row of the cache. */
  readonly rowChecked: boolean;
  /** The commit refuses when its marks are old. */
  readonly ageChecked: boolean;
  /** Whoever writes waits until nobody can believe an older row. */
  readonly settles: boolean;
}

export const unchanged: Mutation = {
  contents: (now) => createMemoryCache({ now }),
  server: (server) => server,
  rowChecked: true,
  ageChecked: true,
  settles: true,
};

/** What the answer is made of. Each part is changed by another projector, by an event of its own. */
export const PARTS = ['album', 'tracks', 'songs'] as const;
export type Part = (typeof PARTS)[number];
export type Parts = Record<Part, number>;

export interface World {
  readonly plan: Plan;
  readonly mutation: Mutation;
  readonly scheduler: Scheduler;
  /** Milliseconds. */
  readonly now: () => number;
  /** Where new connections lead. */
  redis: ModelRedis;
  row: CacheState & { readonly heldUntil: number };
  /** As they are committed. */
  readonly committed: Parts;
  /** As somebody was told of them. */
  readonly told: Parts;
  reads: number;
  hits: number;
  violation: string | undefined;
}

/** A step takes so long. */
export const STEP_MS = 8;

export function createWorld(plan: Plan, mutation: Mutation): World {
  const scheduler = new Scheduler(plan.seed);
  const now = () => scheduler.time * STEP_MS;
  const contents: Contents = (clock) => mutation.contents(clock, () => world);
  const world: World = {
    plan,
    mutation,
    scheduler,
    now,
    violation: undefined,
    reads: 0,
    hits: 0,
    redis: new ModelRedis('run-0', now, contents),
    row: { id: 'never', previous: '', on: false, runId: '', generation: 0, heldUntil: 0 },
    committed: { album: 0, tracks: 0, songs: 0 },
    told: { album: 0, tracks: 0, songs: 0 },
  };
  return world;
}

/** The row in Postgres, as a process reaches it. */
export function rowOf(world: World, actor: Actor): CacheRow {
  const { scheduler, now } = world;
  const turnOff = (from: string, holdMs: number) => {
    const { row } = world;
    if (row.id !== from) return;
    const off = row.on ? { ...row, id: `${from}-`, previous: from, on: false } : row;
    world.row = { ...off, heldUntil: Math.max(row.heldUntil, now() + holdMs) };
  };
  return {
    read: () => scheduler.call(actor, () => ({ ...world.row, now: now() })),
    turnOff: (from, holdMs) => scheduler.call(actor, () => turnOff(from, holdMs)),
    async replace(from, to, prepare) {
      const mayReplace = () => world.row.id === from && world.row.heldUntil <= now();
      if (!(await scheduler.call(actor, mayReplace))) return;
      await prepare();
      // Nobody else can have replaced it: in Postgres its lock is held. Here it is as if he had waited.
      await scheduler.call(actor, () => {
        if (mayReplace()) world.row = { ...to, heldUntil: world.row.heldUntil };
      });
    },
  };
}
