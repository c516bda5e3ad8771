import { accounts, tokenOf } from '../accounts.ts';
import { openServedGeneration } from '../served-generation.ts';
import type { Comparison, Figure, Plan } from '../figure.ts';
import { dummies, type Jobs, openJobs, startJobs } from '../jobs.ts';
import type { PacedPost } from '../load/paced.ts';
import { ALBUM, createSong, times } from '../requests.ts';
import { forJobs, unflushed } from '../shapes.ts';
import type { Stack } from '../stack.ts';
import { summarise } from '../statistics.ts';
import { type Outcome, seriesOf, takeTurns } from '../turns.ts';
import {
  BARE,
  type Beside,
  comparisonOf,
  compareWrites,
  floorOf,
  REFERENCE_BARE,
  sampleOf,
  type Subject,
  type Variant,
} from '../writes.ts';
import { writePlaylists } from '../written.ts';
import { until } from '../../stack/waiting.ts';

const CONNECTIONS = 50;
const ACCOUNTS = 50;
const SONGS = 50;
const PER_SECOND = 100;
const RUNNING = 1_000;
const QUICK_RUNNING = 50;
/** The longest time that a job may take, which is longer than the figure. */
const DURATION_MS = 600_000;
const P99_MS = 50;
const TARGET = { targetEmail: 'listener@example.com' };

/** A worker has room for the jobs that always run, and for new ones. */
const shape = forJobs(unflushed, { WORKER_CONCURRENCY: String(RUNNING + 100), JOB_ATTEMPT_SECONDS: '3600' });

const VARIANTS: readonly Variant[] = [{ shape, floors: { [CONNECTIONS]: 2_500 } }];

export const jobsAccept: Figure = {
  name: 'jobs-accept',
  about:
    'POST /export/playlists/{id} and POST /jobs, answered once the job is in the log, accepted, and seen by every later read',
  method: `${ACCOUNTS} accounts have a playlist with ${SONGS} songs each. Exports of these are requested in turn over ${CONNECTIONS} connections while no
exporter and no worker runs. Then a worker runs ${RUNNING.toLocaleString('en')} \`dummy\` jobs at once, all the time, and ${PER_SECOND} requests a second are sent at
their times, however long the answers to others take: exports, and \`dummy\` jobs that do nothing, which that worker does, too. What a
request takes counts from the time at which it was due. *${BARE}* is a Fastify server without schema and work, which is sent as much.
If fewer jobs run at the end of a turn, the figure fails.`,
  overHttp: false,
  run: (plan) => compareWrites(VARIANTS, plan, compareLoads),
};

async function compareLoads(subject: Subject, beside: Beside, plan: Plan): Promise<Comparison[]> {
  const { stack } = subject;
  if (!stack) return [];
  plan.say(`${subject.title}: preparing playlists`);
  const owned = await preparePlaylists(stack);
  return [
    await compareRates(subject, beside, plan, owned),
    await compareTimes({ ...subject, stack }, beside, plan, owned),
  ];
}

interface Owned {
  readonly paths: readonly string[];
  /** The access tokens of their owners. */
  readonly tokens: readonly string[];
}

async function preparePlaylists(stack: Stack): Promise<Owned> {
  const owners = accounts(ACCOUNTS);
  const generation = await openServedGeneration(stack.connection);
  try {
    const songs = await times(SONGS, () => createSong(stack.url));
    const playlists = await writePlaylists({ ...stack, generation }, owners, songs);
    return { paths: playlists.map((id) => `/export/playlists/${id}`), tokens: owners.map(tokenOf) };
  } finally {
    await generation.close();
  }
}

async function compareRates({ title, url, floors }: Subject, { bare, loader }: Beside, plan: Plan, owned: Owned) {
  const load = { kind: 'http', method: 'POST', connections: CONNECTIONS, body: JSON.stringify(TARGET) } as const;
  const contestants = [
    { name: 'ours', run: () => sampleOf(loader.run({ ...load, url, ...owned })) },
    { name: BARE, run: () => sampleOf(loader.run({ ...load, url: bare, paths: ['/albums'] })) },
  ];
  for (const { run } of contestants) await run(); // to warm up
  const outcomes = await takeTurns(contestants, plan);
  return comparisonOf(`${title}, exports accepted`, outcomes, 'perSecond', floorOf(floors[CONNECTIONS]));
}

async function compareTimes(
  { title, url, stack }: Subject & { stack: Stack },
  { bare, loader }: Beside,
  plan: Plan,
  owned: Owned,
): Promise<Comparison> {
  const load = { kind: 'paced', perSecond: PER_SECOND } as const;
  const jobs = await openJobs(stack);
  const busy = await runJobs(stack, jobs, owned, plan.quick ? QUICK_RUNNING : RUNNING);
  const ours = async () => {
    const sample = await sampleOf(loader.run({ ...load, url, posts: postsOf(owned) }));
    await busy.mustRun();
    return sample;
  };
  try {
    const contestants = [
      { name: 'ours', run: ours },
      {
        name: BARE,
        run: () => sampleOf(loader.run({ ...load, url: bare, posts: [{ path: '/albums', body: ALBUM }] })),
      },
    ];
    for (const { run } of contestants) await run(); // to warm up
    const outcomes = await takeTurns(contestants, plan);
    const about = `${title}, ${PER_SECOND} requests/s while ${RUNNING.toLocaleString('en')} jobs run, p99`;
    const comparison = comparisonOf(about, outcomes, 'p99Ms', [{ atMost: P99_MS }]);
    return { ...comparison, notes: [...comparison.notes, medianOf(outcomes)] };
  } finally {
    await jobs.close();
    await busy.stop();
  }
}

/** An export, a job that does nothing, and so on. */
const postsOf = ({ paths, tokens }: Owned): PacedPost[] =>
  paths.flatMap((path, index) => [
    { path, body: TARGET, token: tokens[index] },
    { path: '/jobs', body: { type: 'dummy' }, token: tokens[index] },
  ]);

const RUNNING_WITHIN_MS = 120_000;

/** Starts so many jobs that run longer than the figure. */
async function runJobs(stack: Stack, jobs: Jobs, { tokens }: Owned, count: number) {
  await startJobs(stack.url, dummies(count, tokens, DURATION_MS));
  const worker = await stack.start('worker');
  const running = () => jobs.count(['running']);
  let seen = 0;
  await until(
    async () => (seen = await running()) >= count,
    RUNNING_WITHIN_MS,
    () => `only ${seen} of ${count} jobs run:\n${worker.output()}`,
  );
  return {
    async mustRun() {
      const now = await running();
      if (now < count) throw new Error(`only ${now} of ${count} jobs run still:\n${worker.output()}`);
    },
    stop: () => worker.stop(),
  };
}

function medianOf([ours]: readonly Outcome[]): string {
  const { median } = summarise(ours ? seriesOf(ours, 'p50Ms').values : []);
  return `p50 of ours: ${Number(median.toPrecision(3))} ms; ${P99_MS} ms are asked where the bare server does ${REFERENCE_BARE.toLocaleString('en')}/s`;
}
