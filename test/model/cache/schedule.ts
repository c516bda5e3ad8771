import { pauseProcess, type Process, startProjector, startReader } from './processes.ts';
import { createWorld, type Mutation, PARTS, type Plan, STEP_MS, type World } from './world.ts';

export interface Outcome {
  readonly violation: string | undefined;
  readonly reads: number;
  readonly hits: number;
}

interface Slot {
  readonly start: () => Process;
  process: Process;
}

/** Runs one schedule; a read must show everything that was acknowledged before it began. */
export async function runSchedule(plan: Plan, mutation: Mutation): Promise<Outcome> {
  const world = createWorld(plan, mutation);
  const starts = [
    ...Array.from({ length: plan.readers }, (_, n) => () => startReader(world, `reader ${n}`)),
    ...PARTS.map((part) => () => startProjector(world, part)),
  ];
  const slots = starts.map((start): Slot => ({ start, process: start() }));
  for (let step = 0; step < plan.steps && world.violation === undefined; step++) {
    disturb(world, slots);
    await world.scheduler.step();
  }
  const { violation, reads, hits } = world;
  return { violation, reads, hits };
}

function disturb(world: World, slots: readonly Slot[]): void {
  const { scheduler, plan } = world;
  const happens = (thousandths: number) => scheduler.chance(thousandths / 1_000);
  const anyone = () => slots[scheduler.pick(slots.length)]!;
  if (happens(plan.wipes)) world.redis.wipe();
  if (happens(plan.failovers)) failOver(world, slots);
  if (happens(plan.deaths)) restart(anyone());
  if (happens(plan.pauses)) pauseProcess(world, anyone().process.actor);
  if (happens(plan.clockJumps)) scheduler.time += ([1, 6, 35, 65][scheduler.pick(4)]! * 1_000) / STEP_MS;
}

let servers = 0;

/** The old server may stay reachable for processes that have not detected the failover. */
function failOver(world: World, slots: readonly Slot[]): void {
  world.redis = world.redis.replacement(`run-${++servers}`, world.scheduler.random());
  for (const { process } of slots) process.lose();
}

function restart(slot: Slot): void {
  slot.process.die();
  slot.process = slot.start();
}
