import { createPlacement } from '../src/events/placement.ts';
import { type ServedGeneration, follow, openServedGeneration, type Point } from './served-generation.ts';
import { fill } from './generator/fill.ts';
import { generate } from './generator/generator.ts';
import { openLog } from './log.ts';
import type { Shape } from './shapes.ts';
import { type Platform, startPlatform, type Server } from './stack.ts';

/** A log of generated records, and read models that a projector fills from it any number of times. */
export interface Replay {
  readonly generation: ServedGeneration;
  /** Records in the log, genesis records included. */
  readonly total: number;
  /** Empties the read models and starts a projector, which then catches up from the log's beginning. */
  start(node?: readonly string[]): Promise<Server>;
  /** Resolves when that projector has applied the log. */
  follow(projector: Server): Promise<Point[]>;
  /** Both, and ends the projector. */
  run(): Promise<Point[]>;
  stop(): Promise<void>;
}

const SEED = 1;
const placement = createPlacement('openmusic', 6);

export async function prepareReplay(shape: Shape, events: number, say: (line: string) => void): Promise<Replay> {
  say(`${shape.name}: making a log of ${events.toLocaleString('en')} events`);
  const platform = await startPlatform(shape);
  try {
    await (await platform.start('projector')).stop(); // it creates the generation, and an embedded log
    const total = await fillLog(platform, events, say);
    const generation = await openServedGeneration(platform.connection);
    return replayOf(platform, generation, total);
  } catch (error) {
    await platform.stop();
    throw error;
  }
}

function replayOf(platform: Platform, generation: ServedGeneration, total: number): Replay {
  const replay: Replay = {
    generation,
    total,
    async start(node) {
      await generation.empty();
      return platform.launch('projector', node);
    },
    follow(projector) {
      let running = true;
      void projector.ended.then(() => (running = false));
      return follow(generation, total, () => running);
    },
    async run() {
      const projector = await replay.start();
      const points = await replay.follow(projector);
      await projector.stop();
      return points;
    },
    async stop() {
      await generation.close();
      await platform.stop();
    },
  };
  return replay;
}

async function fillLog({ log: place }: Platform, events: number, say: (line: string) => void): Promise<number> {
  const log = await openLog(place, placement.namespace);
  try {
    const began = performance.now();
    await fill(log, generate({ placement, seed: SEED, events }));
    const seconds = (performance.now() - began) / 1_000;
    say(`  filled at ${Math.round(events / seconds).toLocaleString('en')} events/s`);
    return (await log.ends(placement.all)).reduce((sum, { offset }) => sum + offset, 0);
  } finally {
    await log.close();
  }
}
