import { startBare } from '../bare.ts';
import { type Asked, type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import { type Loader, startLoader } from '../load/loader.ts';
import type { LoadResult } from '../load/meter.ts';
import { CREATE_ALBUM } from '../requests.ts';
import { embedded, flushed, type Shape, unflushed } from '../shapes.ts';
import { type Stack, startStack } from '../stack.ts';
import { type Contestant, notesOf, type Outcome, seriesOf, takeTurns } from '../turns.ts';
import { watchVisibility } from '../visibility.ts';

const BARE = 'bare Fastify POST';
const INSERT = 'one-row insert with commit';
const APPEND = 'append without arbitration';

/** What a bare Fastify POST did on the two cores for which the floors were given. */
const REFERENCE_BARE = 36_000;

/** Albums a second asked at so many connections. */
type Floors = Readonly<Record<number, number>>;

const VARIANTS: readonly { shape: Shape; floors: Floors }[] = [
  { shape: embedded, floors: { 64: 7_000 } },
  { shape: unflushed, floors: { 64: 4_500, 256: 7_000 } },
  { shape: flushed, floors: { 64: 2_250, 256: 3_500 } },
];

const CONNECTIONS = [1, 64, 256];
const WARM_UP_CONNECTIONS = 64;

export const createAlbum: Figure = {
  name: 'create-album',
  about: 'POST /albums, answered once the album is in the log, accepted, and seen by every later read',
  method: `The same JSON is sent to all. *${BARE}* is a Fastify server with one route, no schema and no work, which
answers with a constant of the same form. *${INSERT}* is one \`INSERT\` of the same values into a table with a primary key,
by \`pg\`, in a transaction of its own that waits for the disk, on the same Postgres, with as many workers as there are
connections, over at most 48 connections to Postgres. *${APPEND}* sends records of new albums through the same appender to
topics of their own on the same broker, or to a log of its own in the same Postgres; nobody reads or judges them. All while
the product runs idle. Beside the load, four times a second, an album is created and read at once: if one is not there, the
figure fails.`,
  overHttp: true,
  async run(plan) {
    if (plan.url !== undefined) return compareLoads({ title: plan.url, url: plan.url, floors: {} }, plan);
    const all: Comparison[] = [];
    for (const { shape, floors } of VARIANTS) {
      if (isWanted(plan, shape.name)) all.push(...(await compareShape(shape, floors, plan)));
    }
    return all;
  },
};

async function compareShape(shape: Shape, floors: Floors, plan: Plan): Promise<Comparison[]> {
  plan.say(`${shape.name}: starting`);
  const stack = await startStack(shape);
  try {
    return await compareLoads({ title: shape.name, url: stack.url, stack, floors }, plan);
  } finally {
    await stack.stop();
  }
}

interface Subject {
  readonly title: string;
  readonly url: string;
  /** Missing for a server that somebody else runs: then there is no limit below HTTP. */
  readonly stack?: Stack;
  readonly floors: Floors;
}

async function compareLoads(subject: Subject, plan: Plan): Promise<Comparison[]> {
  const [bare, loader] = [await startBare(), startLoader(plan)];
  const visibility = watchVisibility(subject.url);
  const contestants = (connections: number) => contestantsOf(subject, bare.url, loader, connections);
  try {
    for (const { run } of contestants(WARM_UP_CONNECTIONS)) await run();
    const all: Comparison[] = [];
    for (const connections of CONNECTIONS) {
      plan.say(`${subject.title}: connections: ${connections}`);
      all.push(...comparisons(subject, connections, await takeTurns(contestants(connections), plan)));
    }
    return all;
  } finally {
    await Promise.all([visibility.stop(), bare.stop(), loader.stop()]);
  }
}

function contestantsOf({ url, stack }: Subject, bare: string, loader: Loader, connections: number): Contestant[] {
  const post = (to: string) => () => sampleOf(loader.run({ kind: 'http', url: to, connections, ...CREATE_ALBUM }));
  const http = [
    { name: 'ours', run: post(url) },
    { name: BARE, run: post(bare) },
  ];
  if (!stack) return http;
  const { connection, log } = stack;
  const workers = connections;
  return [
    ...http,
    { name: INSERT, run: () => sampleOf(loader.run({ kind: 'insert', connection, workers })) },
    { name: APPEND, run: () => sampleOf(loader.run({ kind: 'append', log, workers })) },
  ];
}

const sampleOf = async (result: Promise<LoadResult>) => ({ ...(await result) });

function comparisons({ title, floors }: Subject, connections: number, outcomes: readonly Outcome[]): Comparison[] {
  const compare = (of: 'perSecond' | 'p50Ms' | 'p99Ms', what: string, asked: readonly Asked[]): Comparison => {
    const [ours, ...limits] = outcomes.map((outcome) => seriesOf(outcome, of));
    if (!ours) throw new Error('Nothing was measured.');
    const unit = of === 'perSecond' ? '/s' : 'ms';
    return { title: `${title}, ${what}`, unit, ours, limits, asked, notes: notesOf(outcomes) };
  };
  const rate = compare('perSecond', `${connections} connections`, floorOf(floors[connections]));
  const p50 = compare('p50Ms', '1 client, p50', [{ atMost: 5 }]);
  const p99 = compare('p99Ms', '1 client, p99', [{ atMost: 25 }]);
  return connections === 1 ? [p50, p99] : [rate];
}

function floorOf(floor: number | undefined): Asked[] {
  if (floor === undefined) return [];
  const from = `${floor.toLocaleString('en')}/s beside ${REFERENCE_BARE.toLocaleString('en')}/s`;
  return [{ limit: BARE, atLeast: floor / REFERENCE_BARE, from }];
}
