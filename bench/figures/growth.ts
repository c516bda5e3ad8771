import { type Point, timeOf } from '../build.ts';
import { type Comparison, type Figure, type Plan } from '../figure.ts';
import { prepareReplay } from '../replay.ts';
import { ofBothShapes, type Shape } from '../shapes.ts';

/** Sizes of the log at which is looked, as shares of the largest: 10⁴, 10⁵, … of 10⁶ events. */
const SHARES = [0.01, 0.1, 0.3, 0.6, 0.95] as const;
/** Events of which the time is taken, as a share of the largest log. */
const WINDOW = 0.05;
const EVENTS = 1_000_000;
const QUICK_EVENTS = 20_000;
const MOST_ROUNDS = 3;

export const growth: Figure = {
  name: 'growth',
  about: 'what one more event costs the projector as the log grows',
  method: `A projector catches up with a log of a million generated events. The time per event is taken of the 50,000 events that
follow the 10,000th, and again of the last 50,000.`,
  overHttp: false,
  run: (plan) => ofBothShapes(plan, async (shape) => [await compare(shape, plan)]),
};

async function compare(shape: Shape, plan: Plan): Promise<Comparison> {
  const events = plan.quick ? QUICK_EVENTS : EVENTS;
  const replay = await prepareReplay(shape, events, plan.say);
  try {
    const rounds: number[][] = [];
    for (let round = 1; round <= Math.min(plan.rounds, MOST_ROUNDS); round++) {
      rounds.push(costs(await replay.run(), events));
      plan.say(
        `  ${round}: µs per event ${rounds
          .at(-1)
          ?.map((cost) => cost.toFixed(1))
          .join(', ')}`,
      );
    }
    return comparison(shape, events, rounds);
  } finally {
    await replay.stop();
  }
}

/** Microseconds an event, at each of the sizes. */
const costs = (points: readonly Point[], events: number): number[] =>
  SHARES.map((share) => {
    const ms = timeOf(points, (share + WINDOW) * events) - timeOf(points, share * events);
    return (ms * 1_000) / (WINDOW * events);
  });

function comparison(shape: Shape, events: number, rounds: readonly (readonly number[])[]): Comparison {
  const at = (index: number) => rounds.map((costs) => costs[index] ?? NaN);
  const size = (share: number) => Math.round(share * events).toLocaleString('en');
  const young = `after ${size(SHARES[0])} events`;
  const between = SHARES.slice(1, -1).map(
    (share, index) =>
      `${at(index + 1)
        .map((cost) => cost.toFixed(1))
        .join(', ')} µs after ${size(share)}`,
  );
  return {
    title: `${shape.name}, time per event`,
    unit: 'µs',
    ours: { name: `up to ${size(1)} events`, values: at(SHARES.length - 1) },
    limits: [{ name: young, values: at(0) }],
    asked: [{ limit: young, atLeast: 0.75, atMost: 1.25 }],
    notes: [`between: ${between.join('; ')}`],
  };
}
