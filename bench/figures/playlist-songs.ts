import type { Comparison, Figure, Plan } from '../figure.ts';
import { createdId, get, post, register } from '../requests.ts';
import { embedded, flushed, unflushed } from '../shapes.ts';
import { summarise } from '../statistics.ts';
import { type Contestant, type Outcome, seriesOf, takeTurns } from '../turns.ts';
import { watchVisibility } from '../visibility.ts';
import {
  APPEND,
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

const CONNECTIONS = 50;
const PLAYLISTS = 100;
/** Songs are prepared for so many: were there more, some would be refused, and the figure would say so. */
const MOST_PER_SECOND = 20_000;
const P99_MS = 40;
const TITLE = 'Life in Technicolor';

const VARIANTS: readonly Variant[] = [
  { shape: embedded, floors: { [CONNECTIONS]: 6_000 } },
  { shape: unflushed, floors: { [CONNECTIONS]: 4_000 } },
  { shape: flushed, floors: { [CONNECTIONS]: 2_000 } },
];

export const playlistSongs: Figure = {
  name: 'playlist-songs',
  about:
    'POST /playlists/{id}/songs, answered once the song is in the playlist and its activities for every later read',
  method: `Songs are added to ${PLAYLISTS} playlists in turn over ${CONNECTIONS} connections, with an access token. For each turn the playlists
are new, and before any song comes again all others had theirs: every request adds one that is not there yet, and no playlist
gets longer than a turn makes it, some hundreds of songs. *${BARE}* is a Fastify server without schema and work, which is sent
the same. *${APPEND}* sends records of added songs through the same appender, as many at a time, to topics of their own on the
same broker, or to a log of its own in the same Postgres; nobody reads or judges them. All while the product runs idle. Beside
the load, four times a second, a song is added to a new playlist, which is read at once: if it is not there, the figure fails.`,
  overHttp: true,
  run: (plan) => compareWrites(VARIANTS, plan, compareLoads),
};

async function compareLoads(subject: Subject, beside: Beside, plan: Plan): Promise<Comparison[]> {
  const { title, url, floors } = subject;
  plan.say(`${title}: preparing songs`);
  const prepared = await prepare(url, plan);
  const visibility = watchVisibility(() => addAndRead(url, prepared));
  try {
    const contestants = contestantsOf(subject, beside, prepared);
    for (const { run } of contestants) await run(); // to warm up
    const outcomes = await takeTurns(contestants, plan);
    const rate = comparisonOf(`${title}, acknowledged`, outcomes, 'perSecond', floorOf(floors[CONNECTIONS]));
    const p99 = comparisonOf(`${title}, p99`, outcomes, 'p99Ms', subject.stack ? [{ atMost: P99_MS }] : []);
    return [rate, { ...p99, notes: [...p99.notes, ...converted(outcomes)] }];
  } finally {
    await visibility.stop();
  }
}

interface Prepared {
  readonly token: string;
  /** Ids. */
  readonly songs: readonly string[];
}

export async function prepare(
  url: string,
  { seconds, warmUpSeconds }: Pick<Plan, 'seconds' | 'warmUpSeconds'>,
): Promise<Prepared> {
  const count = Math.ceil(((seconds + warmUpSeconds) * MOST_PER_SECOND) / PLAYLISTS);
  const details = { title: TITLE, year: 2008, genre: 'Indie', performer: 'Coldplay' };
  const songs = await times(count, async () => createdId(await post(url, '/songs', details)));
  return { token: await register(url), songs };
}

/** In so many requests at once as the load makes. */
async function times<T>(count: number, once: () => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  while (all.length < count) {
    const some = Math.min(CONNECTIONS, count - all.length);
    all.push(...(await Promise.all(Array.from({ length: some }, once))));
  }
  return all;
}

const newPlaylist = async (url: string, token: string): Promise<string> =>
  `/playlists/${createdId(await post(url, '/playlists', { name: 'Morning' }, token))}/songs`;

/** Every song to every one of as many new playlists as the figure has. */
export async function additionsTo(url: string, { token, songs }: Prepared) {
  const paths = await times(PLAYLISTS, () => newPlaylist(url, token));
  return { method: 'POST', paths, body: songs.map((songId) => JSON.stringify({ songId })), token } as const;
}

function contestantsOf({ url, stack }: Subject, { bare, loader }: Beside, prepared: Prepared): Contestant[] {
  const add = async (to: string) => {
    const load = { kind: 'http', connections: CONNECTIONS, url: to, ...(await additionsTo(url, prepared)) } as const;
    return sampleOf(loader.run(load));
  };
  const http = [
    { name: 'ours', run: () => add(url) },
    { name: BARE, run: () => add(bare) },
  ];
  if (!stack) return http;
  const { songs } = prepared;
  const entryId = 'entry-01a205107e7f77bba2b95a3d32e228ab';
  const event = { type: 'SongAddedToPlaylist', entryId, songId: songs[0] ?? '', title: TITLE } as const;
  const append = { kind: 'append', log: stack.log, workers: CONNECTIONS, event, category: 'playlist' } as const;
  return [...http, { name: APPEND, run: () => sampleOf(loader.run(append)) }];
}

async function addAndRead(url: string, { token, songs: [songId = ''] }: Prepared): Promise<void> {
  const path = await newPlaylist(url, token);
  const added = await post(url, path, { songId }, token);
  if (added.status === 503) return; // not acknowledged
  const read = await get(url, path, token);
  if (!read.text.includes(songId)) throw new Error(`${songId} was added, and reading ${path} answers ${read.text}`);
}

/** What the time that is asked becomes on a machine on which the bare server is slower. */
function converted([, bare]: readonly Outcome[]): string[] {
  if (!bare) return [];
  const { median } = summarise(seriesOf(bare, 'perSecond').values);
  const here = (P99_MS * REFERENCE_BARE) / median;
  const [reference, rate] = [REFERENCE_BARE, Math.round(median)].map((each) => `${each.toLocaleString('en')}/s`);
  return [
    `${P99_MS} ms are asked where the bare server does ${reference}; beside ${rate} that is ${here.toFixed(0)} ms`,
  ];
}
