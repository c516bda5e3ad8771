import { accounts, tokenOf } from '../accounts.ts';
import { startBare } from '../bare.ts';
import { type Build, openBuild } from '../build.ts';
import { counting } from '../counters.ts';
import { type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import { type JobStart, startJobs } from '../jobs.ts';
import type { Requests } from '../load/http.ts';
import { type Loader, startLoader } from '../load/loader.ts';
import { forAll, get } from '../requests.ts';
import { forJobs, unflushed } from '../shapes.ts';
import { type Stack, startStack } from '../stack.ts';
import { type Contestant, type Sample, takeTurns } from '../turns.ts';
import { watchVisibility } from '../visibility.ts';
import { comparisonOf, sampleOf } from '../writes.ts';

const CONNECTIONS = 50;
const JOBS = 100;
const QUICK_JOBS = 10;
const FINISHED = 'bare Fastify, finished string';
/** Such a job is queued, runs, fails and waits again and again. */
const PAYLOAD = { duration: 200, failures: 20 };
const SETTINGS = { JOB_ATTEMPTS: '100', JOB_BACKOFF_MOST_SECONDS: '1' };

export const jobsStatus: Figure = {
  name: 'jobs-status',
  about: 'GET /jobs/{id} while the jobs progress',
  method: `${JOBS} \`dummy\` jobs of ${PAYLOAD.duration} ms that fail again and again are read in turn over ${CONNECTIONS} connections, while a worker does
them (\`WORKER_CONCURRENCY=8\`). For each turn the jobs are new. Every request has the access token of the job's owner, which ours checks.
*${FINISHED}* sends the bodies that ours answered for such jobs, as they are. If an answer is of an older version than one that had come
before it was asked for, over any connection, or, four times a second, than the version that the read models had then, or if no job
changes in a turn, the figure fails.`,
  overHttp: false,
  async run(plan) {
    if (!isWanted(plan, unflushed.name)) return [];
    plan.say(`${unflushed.name}: starting`);
    const [stack, loader] = [await startStack(forJobs(unflushed, SETTINGS)), startLoader(plan)];
    try {
      await stack.start('worker');
      return await compare(stack, loader, plan);
    } finally {
      await loader.stop();
      await stack.stop();
    }
  },
};

async function compare(stack: Stack, loader: Loader, plan: Plan): Promise<Comparison[]> {
  const count = plan.quick ? QUICK_JOBS : JOBS;
  const [token = ''] = accounts(1).map(tokenOf);
  const bodies = await bodiesOf(stack, token, count);
  const bare = await startBare({ bodies });
  const paths = Array.from(bodies.keys(), (path) => `/finished${path}`);
  const contestants: Contestant[] = [
    { name: 'ours', run: () => whileTheyProgress(stack, loader, token, count) },
    { name: FINISHED, run: () => sampleOf(loader.run({ ...LOAD, url: bare.url, paths, token })) },
  ];
  try {
    for (const { run } of contestants) await run(); // to warm up
    const outcomes = await takeTurns(contestants, plan);
    const asked = [{ limit: FINISHED, atLeast: 0.5 }];
    return [
      comparisonOf(`${unflushed.name}, GET /jobs/{id}`, outcomes, 'perSecond', asked),
      comparisonOf(`${unflushed.name}, GET /jobs/{id}, p99`, outcomes, 'p99Ms', []),
    ].map((each) => ({ ...each, notes: [...each.notes, changesOf(outcomes[0]?.samples ?? [])] }));
  } finally {
    await bare.stop();
  }
}

const LOAD = { kind: 'http', method: 'GET', connections: CONNECTIONS, isWatched: true } as const;
const HITS = 'openmusic_cache_hits_total';

async function whileTheyProgress(stack: Stack, loader: Loader, token: string, count: number): Promise<Sample> {
  const build = await openBuild(stack.connection);
  const paths = await startSome(stack.url, token, count);
  try {
    const visibility = watchVisibility(() => readOne(stack.url, build, paths, token));
    try {
      return await readAll(stack, loader, build, { paths, token });
    } finally {
      await visibility.stop();
    }
  } finally {
    await build.close();
    await callOff(stack.url, paths, token);
  }
}

async function readAll(
  { url }: Stack,
  loader: Loader,
  build: Build,
  reads: Pick<Requests, 'token'> & { paths: string[] },
) {
  const before = await build.applied();
  const { done, grown } = await counting([url], [HITS], () => loader.run({ ...LOAD, url, ...reads }));
  const changes = (await build.applied()) - before;
  if (changes === 0) throw new Error('no job has changed meanwhile');
  return { ...done, changes, hits: grown[0] ?? 0 };
}

/** Their paths. */
async function startSome(url: string, token: string, count: number): Promise<string[]> {
  const start: JobStart = { path: '/jobs', body: { type: 'dummy', payload: PAYLOAD }, token };
  const ids = await startJobs(url, new Array<JobStart>(count).fill(start));
  return ids.map((id) => `/jobs/${id}`);
}

async function bodiesOf({ url }: Stack, token: string, count: number): Promise<ReadonlyMap<string, string>> {
  const paths = await startSome(url, token, count);
  const read = async (path: string) => [path, (await get(url, path, token)).text] as const;
  const bodies = new Map(await forAll(paths, read));
  await callOff(url, paths, token);
  return bodies;
}

/** What the read models have is seen by everybody who asks from then on. */
async function readOne(url: string, build: Build, paths: readonly string[], token: string) {
  const path = paths[Math.floor(Math.random() * paths.length)] ?? '';
  const text = `SELECT version FROM "${build.schema}".jobs WHERE id = $1`;
  const { rows } = await build.client.query<{ version: number }>(text, [path.replace('/jobs/', '')]);
  const known = rows[0]?.version ?? NaN;
  const response = await fetch(url + path, { headers: { authorization: `Bearer ${token}` } });
  await response.text();
  const shown = Number(/^"(\d+)-/.exec(response.headers.get('etag') ?? '')?.[1] ?? NaN);
  if (!(shown >= known)) throw new Error(`${path} had version ${known}, and reading it showed ${shown}`);
}

async function callOff(url: string, paths: readonly string[], token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  await forAll(paths, async (path) => (await fetch(url + path, { method: 'DELETE', headers })).text());
}

const changesOf = (samples: readonly Sample[]): string =>
  `none of the answers was older than what had been seen; events of the jobs meanwhile: ${samples.map(({ changes = 0 }) => changes).join(', ')}`;
