import { accounts, tokenOf } from '../accounts.ts';
import { createAlbums } from '../requests.ts';
import { counting } from '../counters.ts';
import { type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import type { Requests } from '../load/http.ts';
import { type Loader, startLoader } from '../load/loader.ts';
import { unflushed, withoutCache } from '../shapes.ts';
import { type Stack, startStack } from '../stack.ts';
import { type Contestant, takeTurns } from '../turns.ts';
import { comparisonOf } from '../writes.ts';
import { additionsTo, MAX_PER_SECOND, prepare } from './playlist-songs.ts';

const CONNECTIONS = 50;
const ACCOUNTS = 1_000;
const ON = 'ours, cache on';
const OFF = 'ours, cache off';

/** A kind of write that marks cached answers. */
interface Kind {
  readonly title: string;
  /** Returns what prepares the requests of one turn. */
  prepare(url: string, plan: Plan): Promise<() => Promise<Requests>>;
}

const KINDS: readonly Kind[] = [
  { title: 'songs added to playlists', prepare: prepareAdditions },
  { title: 'likes of albums', prepare: prepareLikes },
];

export const marks: Figure = {
  name: 'marks',
  about: 'what it costs a write that the projector marks the cached answers that it changes',
  method: `Two stacks of the same shape run side by side, each with a Kafka, a PostgreSQL and a Redis of its own; one of them has no
cache (\`REDIS_URL=off\`). They take turns, so one idles while the other is loaded over ${CONNECTIONS} connections. Songs are added
to playlists as in *playlist-songs*. Albums are liked by ${ACCOUNTS.toLocaleString('en')} accounts, each new album of a turn by one account, then
each by the next. If nothing is marked in a turn of the one with a cache, or anything in one of the other, the figure fails.`,
  overHttp: false,
  run: async (plan) => (isWanted(plan, unflushed.name) ? compareStacks(plan) : []),
};

async function compareStacks(plan: Plan): Promise<Comparison[]> {
  plan.say(`${unflushed.name}: starting two`);
  const [on, off] = [await startStack(unflushed), await startStack(withoutCache(unflushed))];
  const loader = startLoader(plan);
  try {
    const all: Comparison[] = [];
    for (const kind of KINDS) {
      plan.say(`${unflushed.name}: ${kind.title}`);
      const contestants = [
        await contestantOf(ON, on, kind, loader, plan),
        await contestantOf(OFF, off, kind, loader, plan),
      ];
      for (const { run } of contestants) await run(); // to warm up
      const outcomes = await takeTurns(contestants, plan);
      const asked = [{ limit: OFF, atLeast: 0.9 }];
      all.push(comparisonOf(`${unflushed.name}, ${kind.title}, acknowledged`, outcomes, 'perSecond', asked));
    }
    return all;
  } finally {
    await loader.stop();
    await Promise.all([on.stop(), off.stop()]);
  }
}

async function contestantOf(
  name: typeof ON | typeof OFF,
  { url, servers }: Stack,
  kind: Kind,
  loader: Loader,
  plan: Plan,
): Promise<Contestant> {
  const requestsOfTurn = await kind.prepare(url, plan);
  return {
    name,
    async run() {
      const requests = await requestsOfTurn();
      const load = { kind: 'http', connections: CONNECTIONS, url, ...requests } as const;
      const urls = servers.map((server) => server.url);
      const { done, grown } = await counting(urls, ['openmusic_cache_marks_total'], () => loader.run(load));
      const [marked = 0] = grown;
      if (marked > 0 !== (name === ON)) throw new Error(`${name}: ${marked} keys were marked`);
      return { ...done, marked };
    },
  };
}

async function prepareAdditions(url: string, plan: Plan) {
  const prepared = await prepare(url, plan);
  return () => additionsTo(url, prepared);
}

function prepareLikes(url: string, { seconds, warmUpSeconds }: Plan) {
  const token = accounts(ACCOUNTS).map(tokenOf);
  const albums = Math.ceil(((seconds + warmUpSeconds) * MAX_PER_SECOND) / ACCOUNTS);
  return Promise.resolve(async () => {
    const paths = (await createAlbums(url, albums, 0)).map((album) => `${album}/likes`);
    return { method: 'POST', paths, token } as const;
  });
}
