import { type ServedGeneration, openServedGeneration } from '../served-generation.ts';
import { type Comparison, type Figure, type Plan } from '../figure.ts';
import { type Loader, startLoader } from '../load/loader.ts';
import { OBSERVED, type Question } from '../observed.ts';
import { CREATE_ALBUM } from '../requests.ts';
import { ofBothShapes, type Shape } from '../shapes.ts';
import { type Server, type Stack, startStack } from '../stack.ts';

const CONNECTIONS = 64;
const EVENTS = 1_000_000;
const QUICK_EVENTS = 500;
/** Looks are taken at every tenth of the events, from the second on. */
const LOOKS = [2, 3, 4, 5, 6, 7, 8, 9, 10] as const;

export const memory: Figure = {
  name: 'memory',
  about: 'resident memory of each of our processes while a million albums are created',
  method: `Albums are created over ${CONNECTIONS} connections. From the 200,000th event on, at every 100,000th, the load pauses, garbage
is collected in each of our processes, and its resident memory is read. The later value that is farthest from the first one is
compared with it.`,
  overHttp: false,
  run: (plan) => ofBothShapes(plan, (shape) => look(shape, plan)),
};

async function look(shape: Shape, plan: Plan): Promise<Comparison[]> {
  plan.say(`${shape.name}: starting`);
  const stack = await startStack(shape, OBSERVED);
  const [generation, loader] = [await openServedGeneration(stack.connection), startLoader(plan)];
  try {
    const events = plan.quick ? QUICK_EVENTS : EVENTS;
    const looks: number[][] = [];
    for (const tenth of LOOKS) {
      await createUpTo((tenth / 10) * events, { stack, generation, loader });
      looks.push(await residentMemory(stack.servers));
      plan.say(
        `  ${tenth * (events / 10)} events: ${looks
          .at(-1)
          ?.map((mb) => mb.toFixed(0))
          .join(' and ')} MB`,
      );
    }
    return stack.servers.map(({ roles }, index) =>
      comparison(
        `${shape.name}, process ${roles}`,
        events,
        looks.map((each) => each[index] ?? NaN),
      ),
    );
  } finally {
    await generation.close();
    await loader.stop();
    await stack.stop();
  }
}

interface Subject {
  readonly stack: Stack;
  readonly generation: ServedGeneration;
  readonly loader: Loader;
}

async function createUpTo(events: number, { stack: { url }, generation, loader }: Subject): Promise<void> {
  const load = { kind: 'http', url, connections: CONNECTIONS, ...CREATE_ALBUM } as const;
  while ((await generation.applied()) < events) await loader.run(load);
}

function residentMemory(servers: readonly Server[]): Promise<number[]> {
  const question: Question = 'resident-memory';
  return Promise.all(servers.map(async (server) => (await server.ask({ question })) as number));
}

function comparison(title: string, events: number, [first = NaN, ...later]: readonly number[]): Comparison {
  const distance = (mb: number) => Math.abs(mb - first);
  const farthest = later.reduce((one, other) => (distance(other) > distance(one) ? other : one), first);
  const begin = `after ${(events / 5).toLocaleString('en')} events`;
  return {
    title,
    unit: 'MB',
    ours: { name: `farthest from it, up to ${events.toLocaleString('en')}`, values: [farthest] },
    limits: [{ name: begin, values: [first] }],
    asked: [{ limit: begin, atLeast: 0.9, atMost: 1.1 }],
    notes: [`all looks: ${[first, ...later].map((mb) => mb.toFixed(0)).join(', ')} MB`],
  };
}
