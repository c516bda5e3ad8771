import type { CacheServer } from '../../../src/cache/cache.ts';
import type { CacheRow, CacheState } from '../../../src/cache/cache-state.ts';
import { type Actor, Scheduler } from '../scheduler.ts';
import { createMemoryCache } from '../../../src/cache/memory.ts';
import { type Contents, ModelRedis } from './redis.ts';

/** The parameters of one schedule. Rates are in thousandths per step. */
export interface Plan {
  readonly seed: number;
  readonly steps: number;
  readonly readers: number;
  /** Maximum steps between two changes by one projector. */
  readonly maxCalmSteps: number;
  readonly wipes: number;
  readonly failovers: number;
  readonly deaths: number;
  readonly pauses: number;
  /** How often everything freezes for a long time. */
  readonly clockJumps: number;
  /** In hundredths of commits: the projector freezes between its marks and the commit for longer than their lifetime. */
  readonly projectorPauses: number;
  /** In hundredths of calls to the server: calls without an answer. */
  readonly cuts: number;
}

/** What is removed from the protocol, by changing the environment of the running code. */
export interface Mutation {
  readonly contents: (now: () => number, world: () => World) => CacheServer;
  /** The server as one process sees it. */
  readonly server: (server: CacheServer, world: World) => CacheServer;
  /** The commit checks the row of the cache. */
  readonly rowChecked: boolean;
  /** The commit fails when its marks are too old. */
  readonly ageChecked: boolean;
  /** A write waits until no process can use an older row. */
  readonly settles: boolean;
}

export const unchanged: Mutation = {
  contents: (now) => createMemoryCache({ now }),
  server: (server) => server,
  rowChecked: true,
  ageChecked: true,
  settles: true,
};

/** The parts of the answer. Each part is changed by another projector, by an event of its own. */
export const PARTS = ['album', 'tracks', 'songs'] as const;
export type Part = (typeof PARTS)[number];
export type Parts = Record<Part, number>;

export interface World {
  readonly plan: Plan;
  readonly mutation: Mutation;
  readonly scheduler: Scheduler;
  /** Milliseconds. */
  readonly now: () => number;
  /** The server that new connections lead to. */
  redis: ModelRedis;
  row: CacheState & { readonly heldUntil: number };
  /** The committed parts. */
  readonly committed: Parts;
  /** The acknowledged parts. */
  readonly acknowledged: Parts;
  reads: number;
  hits: number;
  violation: string | undefined;
}

/** The duration of a step. */
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
    acknowledged: { album: 0, tracks: 0, songs: 0 },
  };
  return world;
}

/** The row in Postgres, as a process reads it. */
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
      // No other process can have replaced it: in Postgres its lock is held. Here the call behaves as if it had waited.
      await scheduler.call(actor, () => {
        if (mayReplace()) world.row = { ...to, heldUntil: world.row.heldUntil };
      });
    },
  };
}
