import { accounts, tokenOf } from '../accounts.ts';
import { openServedGeneration } from '../served-generation.ts';
import { type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import { dummies, startJobs } from '../jobs.ts';
import type { Requests } from '../load/http.ts';
import { startLoader } from '../load/loader.ts';
import { CREATE_ALBUM, createAlbums } from '../requests.ts';
import { forJobs, unflushed, withoutCache } from '../shapes.ts';
import { type Stack, startStack } from '../stack.ts';
import { takeTurns } from '../turns.ts';
import { comparisonOf, sampleOf } from '../writes.ts';
import { writeJobs } from '../written.ts';

const CONNECTIONS = 8;
const ACCOUNTS = 100;
const QUEUED_EACH = 1_000;
const QUICK_QUEUED_EACH = 10;
const THINGS = 100;
const SONGS_ON_ALBUM = 10;
const EMPTY = 'empty queue';

/** One kind of request. */
interface Kind {
  readonly title: string;
  /** Creates what is requested. */
  prepare(url: string, tokens: readonly string[]): Promise<Requests>;
}

const KINDS: readonly Kind[] = [
  {
    title: `GET /albums/{id}, ${SONGS_ON_ALBUM} songs`,
    prepare: async (url) => ({ method: 'GET', paths: await createAlbums(url, THINGS, SONGS_ON_ALBUM) }),
  },
  { title: 'POST /albums', prepare: () => Promise.resolve(CREATE_ALBUM) },
  {
    title: 'GET /jobs/{id}',
    async prepare(url, tokens) {
      const ids = await startJobs(url, dummies(THINGS, tokens));
      return {
        method: 'GET',
        paths: ids.map((id) => `/jobs/${id}`),
        tokens: ids.map((_, n) => tokens[n % tokens.length] ?? ''),
      };
    },
  },
  {
    title: 'POST /jobs',
    prepare: (_url, tokens) =>
      Promise.resolve({
        method: 'POST',
        paths: tokens.map(() => '/jobs'),
        body: JSON.stringify({ type: 'dummy' }),
        tokens,
      }),
  },
];

export const jobsQueued: Figure = {
  name: 'jobs-queued',
  about: 'what requests take while 100,000 jobs are queued and no worker runs',
  method: `Two stacks of the same shape run side by side, each with a Kafka and a PostgreSQL of its own, and without a cache
(\`REDIS_URL=off\`), so that every read asks PostgreSQL. In one of them ${ACCOUNTS} accounts have
${QUEUED_EACH.toLocaleString('en')} queued jobs each: records in the log, as the API writes them. They take turns over
${CONNECTIONS} connections, each of which sends the next request when it has its answer. The jobs that are read or started there are
of the same accounts.`,
  overHttp: false,
  run: async (plan) => (isWanted(plan, unflushed.name) ? compareStacks(plan) : []),
};

async function compareStacks(plan: Plan): Promise<Comparison[]> {
  plan.say(`${unflushed.name}: starting two`);
  const shape = forJobs(withoutCache(unflushed));
  const [full, empty] = [await startStack(shape), await startStack(shape)];
  const loader = startLoader(plan);
  try {
    const owners = accounts(ACCOUNTS);
    const each = plan.quick ? QUICK_QUEUED_EACH : QUEUED_EACH;
    await queue(full, owners, each, plan);
    const tokens = owners.map(tokenOf);
    const all: Comparison[] = [];
    for (const kind of KINDS) {
      plan.say(`${unflushed.name}: ${kind.title}`);
      const contestant = async (name: string, { url }: Stack) => {
        const load = { kind: 'http', connections: CONNECTIONS, url, ...(await kind.prepare(url, tokens)) } as const;
        return { name, run: () => sampleOf(loader.run(load)) };
      };
      const name = `${(owners.length * each).toLocaleString('en')} jobs queued`;
      const contestants = [await contestant(name, full), await contestant(EMPTY, empty)];
      for (const { run } of contestants) await run(); // to warm up
      const outcomes = await takeTurns(contestants, plan);
      all.push(
        comparisonOf(`${unflushed.name}, ${kind.title}, p50`, outcomes, 'p50Ms', [{ limit: EMPTY, atMost: 1.1 }]),
      );
    }
    return all;
  } finally {
    await loader.stop();
    await Promise.all([full.stop(), empty.stop()]);
  }
}

async function queue(stack: Stack, owners: readonly string[], each: number, { say }: Plan): Promise<void> {
  say(`${unflushed.name}: queueing ${(owners.length * each).toLocaleString('en')} jobs`);
  const generation = await openServedGeneration(stack.connection);
  try {
    await writeJobs({ ...stack, generation }, owners, each);
    await generation.client.query('VACUUM (ANALYZE)'); // or autovacuum would run during a turn
    const { rows } = await generation.client.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM "${generation.schema}".jobs WHERE state = 'queued'`,
    );
    if (rows[0]?.n !== owners.length * each) throw new Error(`only ${rows[0]?.n} jobs are queued`);
  } finally {
    await generation.close();
  }
}
