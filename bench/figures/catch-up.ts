import { type Point, tablesOf } from '../served-generation.ts';
import { type Comparison, type Figure, type Plan } from '../figure.ts';
import { prepareReplay, type Replay } from '../replay.ts';
import { ofBothShapes, type Shape } from '../shapes.ts';
import { type Contestant, seriesOf, takeTurns } from '../turns.ts';

const COPY = 'COPY of the same rows';
const EVENTS = 200_000;
const QUICK_EVENTS = 20_000;

export const catchUp: Figure = {
  name: 'catch-up',
  about: 'how fast a projector applies a log that it has not seen',
  method: `A log of ${EVENTS.toLocaleString('en')} generated events (see below). *Ours*: the read models are emptied, a process with the role
\`projector\` is started, and its checkpoints are read every 50 ms; the rate is that of the time from its first commit to its
last. *${COPY}*: every table that the projector has filled was copied out to files beside the database. They are copied into
new tables with the same columns, keys and indexes, by one connection in one transaction; the tables are from an earlier
transaction, so that all is written to the WAL, as the projector's rows are.`,
  overHttp: false,
  run: (plan) => ofBothShapes(plan, async (shape) => [await compare(shape, plan)]),
};

async function compare(shape: Shape, plan: Plan): Promise<Comparison> {
  const replay = await prepareReplay(shape, plan.quick ? QUICK_EVENTS : EVENTS, plan.say);
  try {
    const [ours, copy] = await takeTurns([projector(replay), copying(replay)], plan);
    if (!ours || !copy) throw new Error('Nothing was measured.');
    return {
      title: `${shape.name}, events applied`,
      unit: '/s',
      notes: [],
      ours: seriesOf(ours, 'perSecond'),
      limits: [seriesOf(copy, 'perSecond')],
      asked: [{ limit: COPY, atLeast: 0.35 }, { atLeast: 25_000 }],
    };
  } finally {
    await replay.stop();
  }
}

const projector = (replay: Replay): Contestant => ({
  name: 'ours',
  run: async () => ({ perSecond: rateOf(await replay.run()) }),
});

/** From the first commit to the last. */
function rateOf(points: readonly Point[]): number {
  const [first, last] = [points.find(({ applied }) => applied > 0), points.at(-1)];
  if (!first || !last || first === last) throw new Error('it was too fast to be seen');
  return ((last.applied - first.applied) / (last.ms - first.ms)) * 1_000;
}

/** The first turn is after the projector's, so there are rows to copy. */
function copying({ generation: { client, schema }, total }: Replay): Contestant {
  let tables: string[] | undefined;
  const into = async (directory: string, names: readonly string[]) => {
    const began = performance.now();
    await client.query('BEGIN');
    for (const name of names) await client.query(`COPY bench_copy.${name} FROM '${fileOf(directory, name)}'`);
    await client.query('COMMIT');
    return { perSecond: (total / (performance.now() - began)) * 1_000 };
  };
  return {
    name: COPY,
    async run() {
      const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory');
      const directory = rows[0]?.data_directory ?? '';
      tables ??= await copyOut(directory);
      await client.query('DROP SCHEMA IF EXISTS bench_copy CASCADE; CREATE SCHEMA bench_copy');
      for (const name of tables) {
        await client.query(`CREATE TABLE bench_copy.${name} (LIKE "${schema}".${name} INCLUDING ALL)`);
      }
      return into(directory, tables);
    },
  };

  async function copyOut(directory: string): Promise<string[]> {
    const names = await tablesOf(client, schema);
    for (const name of names) await client.query(`COPY "${schema}".${name} TO '${fileOf(directory, name)}'`);
    return names;
  }
}

const fileOf = (directory: string, table: string): string => `${directory}/bench-${table}.copy`;
