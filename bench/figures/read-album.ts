import { startBare } from '../bare.ts';
import { openBuild } from '../build.ts';
import { type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import { type Loader, startLoader } from '../load/loader.ts';
import { createAlbum, createdId, createSong, times } from '../requests.ts';
import { embedded, withoutCache } from '../shapes.ts';
import { startStack } from '../stack.ts';
import { type Contestant, notesOf, seriesOf, takeTurns } from '../turns.ts';

const CONNECTIONS = 64;
const ALBUMS = 100;
const SONGS_EACH = [0, 10];
/** Connections to Postgres for the reads of a process of ours. */
const POOL = 10;
const BARE = 'bare Fastify GET';
const SELECT = 'Fastify with one primary-key SELECT';

export const readAlbum: Figure = {
  name: 'read-album',
  about: 'GET /albums/{id} from Postgres',
  method: `${ALBUMS} albums are read in turn over ${CONNECTIONS} connections. *${SELECT}* is a bare Fastify route that selects the row of the
same album by its id from the same table, by a prepared statement of \`pg\`, over a pool of as many connections (${POOL}), and
answers it as JSON: no songs, no ETag, no request id. *${BARE}* answers with a constant. Nothing is cached (\`REDIS_URL=off\`).`,
  overHttp: true,
  async run(plan) {
    if (plan.url !== undefined) return compare({ title: plan.url, url: plan.url }, plan);
    if (!isWanted(plan, embedded.name)) return [];
    const stack = await startStack(withoutCache(embedded));
    const build = await openBuild(stack.connection);
    await build.close();
    const select = { connection: stack.connection, schema: build.schema, pool: POOL };
    try {
      return await compare({ title: embedded.name, url: stack.url, select }, plan);
    } finally {
      await stack.stop();
    }
  },
};

interface Subject {
  readonly title: string;
  readonly url: string;
  /** Missing for a server that somebody else runs. */
  readonly select?: NonNullable<Parameters<typeof startBare>[0]>['select'];
}

async function compare(subject: Subject, plan: Plan): Promise<Comparison[]> {
  const [bare, loader] = [await startBare({ select: subject.select }), startLoader(plan)];
  try {
    const all: Comparison[] = [];
    for (const songs of SONGS_EACH) {
      plan.say(`${subject.title}: ${ALBUMS} albums with ${songs} songs each`);
      const paths = await createAlbums(subject.url, plan.quick ? 10 : ALBUMS, songs);
      all.push(await compareReads(subject, { bare: bare.url, loader, paths, songs }, plan));
    }
    return all;
  } finally {
    await Promise.all([bare.stop(), loader.stop()]);
  }
}

/** Their paths. */
export const createAlbums = (url: string, count: number, songs: number): Promise<string[]> =>
  times(count, async () => {
    const albumId = createdId(await createAlbum(url));
    for (let n = 0; n < songs; n++) await createSong(url, albumId);
    return `/albums/${albumId}`;
  });

interface Reads {
  readonly bare: string;
  readonly loader: Loader;
  readonly paths: readonly string[];
  readonly songs: number;
}

async function compareReads({ title, url, select }: Subject, reads: Reads, plan: Plan): Promise<Comparison> {
  const { bare, loader, paths, songs } = reads;
  const read = (name: string, from: string, which = paths): Contestant => ({
    name,
    run: async () => ({ ...(await loader.run({ ...LOAD, url: from, paths: which })) }),
  });
  const all = [read('ours', url), read(BARE, bare, ['/']), ...(select ? [read(SELECT, bare)] : [])];
  for (const { run } of all) await run(); // to warm up
  const outcomes = await takeTurns(all, plan);
  const [ours, ...limits] = outcomes.map((outcome) => seriesOf(outcome, 'perSecond'));
  if (!ours) throw new Error('Nothing was measured.');
  const asked = select ? [{ limit: SELECT, atLeast: 0.7 }] : [];
  return { title: `${title}, ${songs} songs on the album`, unit: '/s', ours, limits, asked, notes: notesOf(outcomes) };
}

const LOAD = { kind: 'http', method: 'GET', connections: CONNECTIONS } as const;
