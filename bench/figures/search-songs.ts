import type pg from 'pg';
import { searchFor, type SongFilter } from '../../src/projections/songs.ts';
import { startBare } from '../bare.ts';
import { openServedGeneration } from '../served-generation.ts';
import { type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import { startLoader } from '../load/loader.ts';
import { embedded } from '../shapes.ts';
import { createShelf, SELECTIVE_LENGTH, type Song, WORDS } from '../songs.ts';
import { startStack } from '../stack.ts';
import { summarise } from '../statistics.ts';
import { type Contestant, seriesOf, takeTurns } from '../turns.ts';
import { type Beside, comparisonOf, sampleOf } from '../writes.ts';

const SIZES = [100_000, 1_000_000];
const QUICK_SIZES = [2_000, 4_000];
const CONNECTIONS = 64;
const BARE = 'bare Fastify GET';
const BY_ID = 'the same songs by their ids';
const MAX_MS = 5;
/** Songs on one page of the API. */
const MOST = 250;

export const searchSongs: Figure = {
  name: 'search-songs',
  about: 'GET /songs?title=&performer=, in Postgres and over HTTP',
  method: `The table of songs is filled by SQL with ${SIZES.map((size) => size.toLocaleString('en')).join(', then ')} rows, titles of one to five
words and performers of one to three, out of ${WORDS.toLocaleString('en')} made-up ones, common and rare, some with accented letters; then it is vacuumed
and analysed. A hundred of them, taken evenly from all, with titles of at least ${SELECTIVE_LENGTH} letters, are searched for: by title and
performer, and by title alone, each letter in the other case, accented ones too. If a song is not found by its own letters,
the figure fails. *In Postgres* is the time for planning and running the very statement of the API, as \`EXPLAIN ANALYZE\` gives
it; of a round, the median of the hundred. *${BY_ID}* is a statement that asks for the ids that were found.
*${BARE}* answers with a constant.`,
  overHttp: false,
  async run(plan) {
    if (!isWanted(plan, embedded.name)) return [];
    const stack = await startStack(embedded);
    const generation = await openServedGeneration(stack.connection);
    const [bare, loader] = [await startBare(), startLoader(plan)];
    try {
      await generation.client.query(`SET search_path = "${generation.schema}", openmusic, public; ${PLANNED_ANEW}`);
      return await compareSizes(generation.client, stack.url, { bare: bare.url, loader }, plan);
    } finally {
      await Promise.all([bare.stop(), loader.stop(), generation.close()]);
      await stack.stop();
    }
  },
};

/** The setting of the API's own connections for a search. */
const PLANNED_ANEW = 'SET plan_cache_mode = force_custom_plan';

async function compareSizes(client: pg.Client, url: string, beside: Beside, plan: Plan): Promise<Comparison[]> {
  const shelf = createShelf(client);
  const all: Comparison[] = [];
  for (const size of plan.quick ? QUICK_SIZES : SIZES) {
    const title = `${size.toLocaleString('en')} songs`;
    plan.say(`filling the table up to ${title}`);
    const songs = await shelf.fillUpTo(size);
    const byBoth = await searched(client, songs, (song) => ({ ...byTitle(song), performer: turned(song.performer) }));
    const byOne = await searched(client, songs, byTitle);
    all.push(
      await inPostgres(`${title}, by title and performer, in Postgres`, client, byBoth, plan),
      await inPostgres(`${title}, by title alone, in Postgres`, client, byOne, plan),
      await overHttp(`${title}, by title and performer, ${CONNECTIONS} connections`, url, byBoth, beside, plan),
    );
  }
  return all;
}

const byTitle = ({ title }: Song): SongFilter => ({ title: turned(title) });

/** Every letter in the other case, where it has one. */
const turned = (text: string): string =>
  Array.from(text, (letter) => {
    const [lower, upper] = [letter.toLowerCase(), letter.toUpperCase()];
    return letter === lower && upper.length === letter.length ? upper : lower;
  }).join('');

interface Search {
  readonly filter: SongFilter;
  readonly ids: readonly string[];
}

/** The results of the filters of all these songs. */
async function searched(client: pg.Client, songs: readonly Song[], filterOf: (song: Song) => SongFilter) {
  const searches: Search[] = [];
  for (const song of songs) {
    const filter = filterOf(song);
    const ids = (await client.query<{ id: string }>(searchFor(filter, MOST))).rows.map(({ id }) => id);
    if (!ids.includes(song.id)) throw new Error(`${JSON.stringify(filter)} does not find ${JSON.stringify(song)}`);
    searches.push({ filter, ids });
  }
  return searches;
}

async function inPostgres(title: string, client: pg.Client, searches: readonly Search[], plan: Plan) {
  const byId = (ids: readonly string[]) => ({
    text: 'SELECT id, title, performer FROM songs WHERE id = ANY($1) ORDER BY id',
    values: [ids],
  });
  const timed = (name: string, statements: readonly pg.QueryConfig[]): Contestant => ({
    name,
    async run() {
      const times: number[] = [];
      for (const statement of statements) times.push(await timeOf(client, statement));
      const { median, high } = summarise(times);
      return { median, high };
    },
  });
  const outcomes = await takeTurns(
    [
      timed(
        'ours',
        searches.map(({ filter }) => searchFor(filter, MOST)),
      ),
      timed(
        BY_ID,
        searches.map(({ ids }) => byId(ids)),
      ),
    ],
    plan,
  );
  const [ours, ...limits] = outcomes.map((outcome) => seriesOf(outcome, 'median'));
  const [slowest] = outcomes.map((outcome) => seriesOf(outcome, 'high').values);
  if (!ours || !slowest) throw new Error('Nothing was measured.');
  const notes = [`the slowest of the searches: ${summarise(slowest).median.toPrecision(3)} ms`, ...notesOf(searches)];
  return { title, unit: 'ms', ours, limits, asked: [{ atMost: MAX_MS }], notes } satisfies Comparison;
}

interface Explained {
  readonly 'Planning Time': number;
  readonly 'Execution Time': number;
}

async function timeOf(client: pg.Client, { text, values }: pg.QueryConfig): Promise<number> {
  const explain = `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${text}`;
  const { rows } = await client.query<{ 'QUERY PLAN': Explained[] }>(explain, values);
  const [explained] = rows[0]?.['QUERY PLAN'] ?? [];
  if (!explained) throw new Error(`EXPLAIN returned nothing for ${text}`);
  return explained['Planning Time'] + explained['Execution Time'];
}

function notesOf(searches: readonly Search[]): string[] {
  const found = summarise(searches.map(({ ids }) => ids.length));
  const folded = searches.filter(({ filter }) => /\P{ASCII}/u.test(Object.values(filter).join(''))).length;
  return [
    `a search finds ${found.median} songs in the median and ${found.high} at most; ${folded} of ${searches.length} have letters outside ASCII`,
  ];
}

async function overHttp(title: string, url: string, searches: readonly Search[], beside: Beside, plan: Plan) {
  const paths = searches.map(({ filter: { title: of = '', performer } }) => {
    const query = new URLSearchParams({ title: of, ...(performer !== undefined && { performer }) });
    return `/songs?${query.toString()}`;
  });
  const get = (name: string, to: string, which: readonly string[]): Contestant => ({
    name,
    run: () =>
      sampleOf(beside.loader.run({ kind: 'http', method: 'GET', connections: CONNECTIONS, url: to, paths: which })),
  });
  const all = [get('ours', url, paths), get(BARE, beside.bare, ['/'])];
  for (const { run } of all) await run(); // to warm up
  return comparisonOf(title, await takeTurns(all, plan), 'perSecond', []);
}
