import type { Comparison, Figure, Plan } from '../figure.ts';
import { ALBUM, CREATE_ALBUM, createAlbum as create, createdId, get } from '../requests.ts';
import { embedded, flushed, unflushed } from '../shapes.ts';
import { type Contestant, type Outcome, takeTurns } from '../turns.ts';
import { watchVisibility } from '../visibility.ts';
import {
  APPEND,
  BARE,
  type Beside,
  comparisonOf,
  compareWrites,
  floorOf,
  sampleOf,
  type Subject,
  type Variant,
} from '../writes.ts';

const INSERT = 'one-row insert with commit';

const VARIANTS: readonly Variant[] = [
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
topics of their own on the same broker, or to a log of its own in the same Postgres; no process reads or judges them. The product runs
idle meanwhile. Beside the load, four times a second, an album is created and read at once: if it is missing, the figure fails.`,
  overHttp: true,
  run: (plan) => compareWrites(VARIANTS, plan, compareLoads),
};

async function compareLoads(subject: Subject, beside: Beside, plan: Plan): Promise<Comparison[]> {
  const visibility = watchVisibility(() => createAndRead(subject.url));
  const contestants = (connections: number) => contestantsOf(subject, beside, connections);
  try {
    for (const { run } of contestants(WARM_UP_CONNECTIONS)) await run();
    const all: Comparison[] = [];
    for (const connections of CONNECTIONS) {
      plan.say(`${subject.title}: connections: ${connections}`);
      all.push(...comparisons(subject, connections, await takeTurns(contestants(connections), plan)));
    }
    return all;
  } finally {
    await visibility.stop();
  }
}

async function createAndRead(url: string): Promise<void> {
  const created = await create(url);
  if (created.status === 503) return; // not acknowledged
  const id = createdId(created);
  const read = await get(url, `/albums/${id}`);
  if (read.status !== 200) throw new Error(`${id} was acknowledged, and reading it answers ${read.status}`);
}

function contestantsOf({ url, stack }: Subject, { bare, loader }: Beside, connections: number): Contestant[] {
  const post = (to: string) => () => sampleOf(loader.run({ kind: 'http', url: to, connections, ...CREATE_ALBUM }));
  const http = [
    { name: 'ours', run: post(url) },
    { name: BARE, run: post(bare) },
  ];
  if (!stack) return http;
  const { connection, log } = stack;
  const workers = connections;
  const records = {
    event: { type: 'AlbumCreated', albumId: 'album-01a205107e7f77bba2b95a3d32e228ac', ...ALBUM },
    category: 'album',
  } as const;
  return [
    ...http,
    { name: INSERT, run: () => sampleOf(loader.run({ kind: 'insert', connection, workers })) },
    { name: APPEND, run: () => sampleOf(loader.run({ kind: 'append', log, workers, ...records })) },
  ];
}

function comparisons({ title, floors }: Subject, connections: number, outcomes: readonly Outcome[]): Comparison[] {
  const rate = () =>
    comparisonOf(`${title}, ${connections} connections`, outcomes, 'perSecond', floorOf(floors[connections]));
  const p50 = () => comparisonOf(`${title}, 1 client, p50`, outcomes, 'p50Ms', [{ atMost: 5 }]);
  const p99 = () => comparisonOf(`${title}, 1 client, p99`, outcomes, 'p99Ms', [{ atMost: 25 }]);
  return connections === 1 ? [p50(), p99()] : [rate()];
}
