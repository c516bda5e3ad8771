import { startApi } from './api-process.ts';
import { adopt } from './adoption.ts';
import { findViolation } from './checks.ts';
import { type Client, readRepeatedly, startClient } from './clients.ts';
import { startProjector } from './projector-process.ts';
import { createWorld, type Mutation, type Plan, type World } from './world.ts';

export interface Outcome {
  /** A violated invariant. */
  readonly violation: string | undefined;
  readonly steps: number;
  readonly acknowledged: number;
  readonly crashes: number;
}

const STEPS_TO_SETTLE = 3_000;

/** Runs one schedule: with faults for as long as the plan says, then without any until no work is left. */
export async function runSchedule(plan: Plan, mutation: Mutation): Promise<Outcome> {
  const world = createWorld(plan, mutation);
  const clients = Array.from({ length: plan.clients }, (_, index) => startClient(world, `c${index}`));
  void readRepeatedly(world, world.scheduler.actor('reader'));
  if (world.adopter) void adopt(world, world.adopter);
  while (world.scheduler.time < plan.steps && world.violation === undefined) {
    disturb(world);
    await world.scheduler.step();
  }
  await settle(world, clients);
  const { time } = world.scheduler;
  const violation = findViolation(world);
  return { violation, steps: time, acknowledged: world.acknowledged.length, crashes: world.postgres.incarnation - 1 };
}

function disturb(world: World): void {
  const { scheduler, postgres, log, plan } = world;
  const happens = (thousandths: number) => scheduler.chance(thousandths / 1_000);
  if (happens(plan.crashes)) crash(world);
  if (world.adopter && happens(plan.crashes)) crash(world.adopter);
  if (happens(60) && postgres.volatile > 0) postgres.flush(scheduler.pick(postgres.volatile + 1));
  if (happens(40)) log.arrive();
  if (happens(3)) log.newLeader();
  if (happens(plan.deaths)) restart(world);
  if (happens(plan.pauses)) pauseOne(world);
  if (happens(plan.joins)) world.projectors[scheduler.pick(world.projectors.length)]?.process.rejoin();
}

function crash(world: World): void {
  const { postgres, scheduler, apis, projectors } = world;
  world.violation ??= findViolation(world); // the commits that the crash loses must have been right
  postgres.crash(scheduler.pick(postgres.volatile + 1));
  for (const { process } of [...apis, ...projectors]) process.connections.notice();
}

function restart(world: World): void {
  const index = world.scheduler.pick(world.apis.length + world.projectors.length);
  if (world.lost) return;
  const api = world.apis[index];
  const projector = world.projectors[index - world.apis.length];
  if (api) {
    api.process.die();
    api.process = startApi(world, api.process.actor.name);
  } else if (projector) {
    projector.process.die();
    projector.process = startProjector(world, projector.process.actor.name);
  }
}

/** A process freezes, and others take over. */
function pauseOne({ scheduler, apis, projectors }: World): void {
  const all = [...projectors, ...projectors, ...apis];
  const { actor } = all[scheduler.pick(all.length)]!.process;
  actor.pausedUntil = scheduler.time + 20 + scheduler.pick(60);
}

async function settle(world: World, clients: readonly Client[]): Promise<void> {
  const { scheduler, log, partitions } = world;
  world.closing = true;
  log.settle();
  for (const { process } of [...world.apis, ...world.projectors, ...(world.adopter?.projectors ?? [])])
    process.actor.pausedUntil = 0;
  const { postgres } = world.adopter ?? world;
  const isApplied = () =>
    log.ends(partitions).every((end) => postgres.checkpoint(end).next === end.offset) &&
    world.adopted === (world.adopter !== undefined);
  const last = scheduler.time + STEPS_TO_SETTLE;
  while (world.violation === undefined && !(isApplied() && clients.every(({ busy }) => !busy))) {
    await scheduler.step();
    if (scheduler.time > last) world.violated('it does not settle');
  }
}
