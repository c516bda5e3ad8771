import { until } from '../../stack/waiting.ts';
import { startBare } from '../bare.ts';
import { counting } from '../counters.ts';
import { type Asked, type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import { type Loader, startLoader } from '../load/loader.ts';
import { created, createPlaylist, createSong, forAll, get, post, register, times, createAlbums } from '../requests.ts';
import { unflushed } from '../shapes.ts';
import { startStack } from '../stack.ts';
import { type Contestant, takeTurns } from '../turns.ts';
import { comparisonOf, sampleOf } from '../writes.ts';

const CONNECTIONS = 50;
const COUNT = 100;
const QUICK_COUNT = 10;
const SONGS = 50;
const SONGS_ON_ALBUM = 10;
const SERIALISED = 'bare Fastify, serialised by a schema';
const FINISHED = 'bare Fastify, finished string';

/** One kind of answer that is cached. */
interface Kind {
  readonly title: string;
  /** Creates what is read, and returns its paths. */
  create(url: string, count: number, token: string): Promise<string[]>;
  readonly rate: readonly Asked[];
  readonly p99: readonly Asked[];
}

const KINDS: readonly Kind[] = [
  {
    title: `GET /playlists/{id}/songs, ${SONGS} songs`,
    create: createPlaylists,
    rate: [
      { limit: SERIALISED, atLeast: 0.75 },
      { limit: FINISHED, atLeast: 0.45 },
    ],
    p99: [{ limit: SERIALISED, atMost: 2 }],
  },
  {
    title: `GET /albums/{id}, ${SONGS_ON_ALBUM} songs`,
    create: (url, count) => createAlbums(url, count, SONGS_ON_ALBUM),
    rate: [{ limit: FINISHED, atLeast: 0.5 }],
    p99: [],
  },
  {
    title: 'GET /albums/{id}/likes',
    create: createLiked,
    rate: [{ limit: FINISHED, atLeast: 0.5 }],
    p99: [],
  },
];

export const cachedReads: Figure = {
  name: 'cached-reads',
  about: 'reads that are answered from the cache in Redis',
  method: `${COUNT} playlists, albums or counts of likes are read in turn over ${CONNECTIONS} connections, each of which begins
at another one. Every request has an access token, which ours checks. Before the first turn all were read until all came from the
cache; if a single read of a turn does not, by the counters of \`/metrics\`, the figure fails. The bare server has the bodies
of our answers, by their paths: *${SERIALISED}* has them as objects, which Fastify serialises by a schema of exactly
their fields; *${FINISHED}* sends them as they are. If a single byte differs, the figure fails.`,
  overHttp: true,
  async run(plan) {
    if (plan.url !== undefined) return compareKinds(plan.url, plan.url, plan);
    if (!isWanted(plan, unflushed.name)) return [];
    plan.say(`${unflushed.name}: starting`);
    const stack = await startStack(unflushed);
    try {
      return await compareKinds(unflushed.name, stack.url, plan);
    } finally {
      await stack.stop();
    }
  },
};

async function compareKinds(shape: string, url: string, plan: Plan): Promise<Comparison[]> {
  const [token, loader] = [await register(url), startLoader(plan)];
  try {
    const all: Comparison[] = [];
    for (const kind of KINDS) {
      plan.say(`${shape}: ${kind.title}`);
      const paths = await kind.create(url, plan.quick ? QUICK_COUNT : COUNT, token);
      const outcomes = await compareReads({ url, token, paths, loader }, plan);
      const title = `${shape}, ${kind.title}`;
      all.push(
        comparisonOf(title, outcomes, 'perSecond', kind.rate),
        comparisonOf(`${title}, p99`, outcomes, 'p99Ms', kind.p99),
      );
    }
    return all;
  } finally {
    await loader.stop();
  }
}

interface Reads {
  readonly url: string;
  readonly token: string;
  readonly paths: readonly string[];
}

async function compareReads(reads: Reads & { loader: Loader }, plan: Plan) {
  const { url, token, paths, loader } = reads;
  const bodies = await warm(reads);
  const bare = await startBare({ bodies });
  const load = (to: string, prefix = '') => {
    const prefixed = paths.map((path) => prefix + path);
    return sampleOf(loader.run({ ...LOAD, url: to, paths: prefixed, token }));
  };
  const contestants: Contestant[] = [
    { name: 'ours', run: () => fromCache(url, () => load(url)) },
    { name: SERIALISED, run: () => load(bare.url, '/serialised') },
    { name: FINISHED, run: () => load(bare.url, '/finished') },
  ];
  try {
    for (const prefix of ['/serialised', '/finished']) await mustAnswer(bare.url + prefix, bodies);
    for (const { run } of contestants) await run(); // to warm up
    return await takeTurns(contestants, plan);
  } finally {
    await bare.stop();
  }
}

const LOAD = { kind: 'http', method: 'GET', connections: CONNECTIONS } as const;

const WARM_WITHIN_MS = 60_000;
const HITS = 'openmusic_cache_hits_total';
const MISSES = 'openmusic_cache_misses_total';

/** Reads all paths until all come from the cache. Returns the bodies by path. */
export async function warm({ url, token, paths }: Reads): Promise<ReadonlyMap<string, string>> {
  let bodies = new Map<string, string>();
  const readAll = () => forAll(paths, async (path) => [path, await read(url, path, token)] as const);
  const allCached = async () => {
    const { done, grown } = await counting([url], [MISSES], readAll);
    bodies = new Map(done);
    return grown[0] === 0;
  };
  await until(allCached, WARM_WITHIN_MS, () => `${paths[0]} and others like it do not enter the cache`);
  return bodies;
}

async function read(url: string, path: string, token?: string): Promise<string> {
  const { status, text } = await get(url, path, token);
  if (status !== 200) throw new Error(`${path} answers ${status} ${text}`);
  return text;
}

/** Requests that share one look-up of the cache count once. */
async function fromCache<T extends object>(url: string, work: () => Promise<T>): Promise<T & { hits: number }> {
  const { done, grown } = await counting([url], [HITS, MISSES], work);
  const [hits = 0, misses = 0] = grown;
  if (misses > 0 || hits === 0)
    throw new Error(`the cache had ${hits} of the requested answers, and ${misses} were missing`);
  return { ...done, hits };
}

async function mustAnswer(url: string, bodies: ReadonlyMap<string, string>): Promise<void> {
  for (const [path, body] of bodies) {
    const other = await read(url, path);
    if (other !== body) throw new Error(`${path} is ${body}, and not ${other}`);
  }
}

/** Creates playlists, and returns the paths of their songs. */
export async function createPlaylists(url: string, count: number, token: string): Promise<string[]> {
  const songs = await times(SONGS, () => createSong(url));
  const paths = await times(count, () => createPlaylist(url, token));
  for (const songId of songs) await forAll(paths, async (path) => created(await post(url, path, { songId }, token)));
  return paths;
}

/** Creates liked albums, and returns the paths of their likes. */
async function createLiked(url: string, count: number, token: string): Promise<string[]> {
  const paths = (await createAlbums(url, count, 0)).map((album) => `${album}/likes`);
  await forAll(paths, async (path) => created(await post(url, path, {}, token)));
  return paths;
}
