import type { Profiler } from 'node:inspector/promises';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { accounts, tokenOf } from './accounts.ts';
import { dummies, openJobs, startJobs } from './jobs.ts';
import type { Requests } from './load/http.ts';
import { startLoader } from './load/loader.ts';
import { OBSERVED, type Question } from './observed.ts';
import { createPlaylists, warm } from './figures/cached-reads.ts';
import { searchesOf } from './figures/list-songs.ts';
import { additionsTo, prepare } from './figures/playlist-songs.ts';
import { prepareReplay } from './replay.ts';
import { CREATE_ALBUM, register } from './requests.ts';
import { embedded, flushed, forJobs, type Shape, unflushed } from './shapes.ts';
import { type Server, startStack } from './stack.ts';
import { topOf } from './top.ts';

export interface ProfileOptions {
  readonly only: string;
  readonly connections: number;
  readonly seconds: number;
}

const EVENTS = 100_000;
const PLAYLISTS = 64;
const JOBS = 2_000;
const ACCOUNTS = 50;
const profiles = fileURLToPath(new URL('../.cache/profiles/', import.meta.url));
const say = (line: string) => void process.stderr.write(`${line}\n`);

type Scene = (shape: Shape, options: ProfileOptions) => Promise<void>;

/** The figures that can be profiled. */
const scenes: Readonly<Record<string, Scene>> = {
  'create-album': (shape, options) => underLoad(shape, options, () => Promise.resolve(CREATE_ALBUM)),
  'list-songs': (shape, options) =>
    underLoad(shape, options, async (url) => ({ method: 'GET', paths: await searchesOf(url) })),
  'cached-playlist': (shape, options) =>
    underLoad(shape, options, async (url) => {
      const token = await register(url);
      const paths = await createPlaylists(url, PLAYLISTS, token);
      await warm({ url, token, paths });
      return { method: 'GET', paths, token };
    }),
  'playlist-songs': (shape, options) =>
    underLoad(shape, options, async (url) => {
      const { seconds } = options;
      return additionsTo(url, await prepare(url, { seconds, warmUpSeconds: 0 }));
    }),
  'catch-up': catchUp,
  'jobs-noop': noopJobs,
};

/** Shows where our processes spend their time while they do what a figure measures, by V8's profiler. */
export async function profile(what: string, options: ProfileOptions): Promise<void> {
  const scene = scenes[what];
  if (!scene) throw new Error(`${what} cannot be profiled. What can: ${Object.keys(scenes).join(', ')}.`);
  const shape = [embedded, unflushed, flushed].find(({ name }) => name.includes(options.only));
  if (!shape) throw new Error(`No way to run is called ${options.only}.`);
  await scene(shape, options);
}

async function underLoad(
  shape: Shape,
  { connections, seconds }: ProfileOptions,
  requestTo: (url: string) => Promise<Requests>,
): Promise<void> {
  const [stack, loader] = [await startStack(shape, OBSERVED), startLoader({ seconds, warmUpSeconds: 0 })];
  try {
    const prepared = async () =>
      ({ kind: 'http', url: stack.url, connections, ...(await requestTo(stack.url)) }) as const;
    await loader.run(await prepared()); // to warm up
    const load = await prepared();
    await profiled(stack.servers, async () => say(`${Math.round((await loader.run(load)).perSecond)}/s`));
  } finally {
    await loader.stop();
    await stack.stop();
  }
}

async function catchUp(shape: Shape): Promise<void> {
  const replay = await prepareReplay(shape, EVENTS, say);
  try {
    const projector = await replay.start(OBSERVED);
    await profiled([projector], () => replay.follow(projector));
  } finally {
    await replay.stop();
  }
}

/** Jobs are accepted and done at the same time. */
async function noopJobs(shape: Shape, { connections }: ProfileOptions): Promise<void> {
  const stack = await startStack(forJobs(shape, { WORKER_CONCURRENCY: String(connections) }), OBSERVED);
  const jobs = await openJobs(stack);
  try {
    const worker = await stack.start('worker', OBSERVED);
    const tokens = accounts(ACCOUNTS).map(tokenOf);
    const work = async () => {
      const began = performance.now();
      await startJobs(stack.url, dummies(JOBS, tokens));
      await jobs.drain(JOBS, worker);
      say(`${Math.round((JOBS / (performance.now() - began)) * 1_000)}/s`);
    };
    await work(); // to warm up
    await profiled([...stack.servers, worker], work);
  } finally {
    await jobs.close();
    await stack.stop();
  }
}

async function profiled(servers: readonly Server[], work: () => Promise<unknown>): Promise<void> {
  const ask = (question: Question) => Promise.all(servers.map((server) => server.ask({ question })));
  await ask('begin-profile');
  await work();
  const found = (await ask('end-profile')) as Profiler.Profile[];
  await mkdir(profiles, { recursive: true });
  for (const [index, { roles }] of servers.entries()) if (found[index]) await keep(roles, found[index]);
}

async function keep(roles: string, found: Profiler.Profile): Promise<void> {
  const file = path.join(profiles, `${roles}-${Date.now()}.cpuprofile`);
  await writeFile(file, JSON.stringify(found));
  process.stdout.write(`\n${file}\n${topOf(found)}\n`);
}
