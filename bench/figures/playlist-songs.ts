import type { Comparison, Figure, Plan } from '../figure.ts';
import type { Requests } from '../load/http.ts';
import { createPlaylist, createSong, get, post, register, SONG, times } from '../requests.ts';
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
/** Songs are prepared for so many. If a server were faster, some would be refused, and the figure would show it. */
export const MAX_PER_SECOND = 20_000;
const P99_MS = 40;

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
are new, and no song is used twice before all others were: every request adds a song that the playlist does not have, and no playlist
gets longer than some hundreds of songs. *${BARE}* is a Fastify server without schema and work, which is sent
the same. *${APPEND}* sends records of added songs through the same appender, as many at a time, to topics of their own on the
same broker, or to a log of its own in the same Postgres; no process reads or judges them. The product runs idle meanwhile. Beside
the load, four times a second, a song is added to a new playlist, which is read at once: if it is missing, the figure fails.`,
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
  const count = Math.ceil(((seconds + warmUpSeconds) * MAX_PER_SECOND) / PLAYLISTS);
  return { songs: await times(count, () => createSong(url)), token: await register(url) };
}

/** Requests that add every song to each of the figure's new playlists. */
export async function additionsTo(url: string, { token, songs }: Prepared): Promise<Requests> {
  const paths = await times(PLAYLISTS, () => createPlaylist(url, token));
  return { method: 'POST', paths, body: songs.map((songId) => JSON.stringify({ songId })), token };
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
  const playlistId = 'playlist-01a205107e7f77bba2b95a3d32e228ac';
  const entries = [{ entryId, songId: songs[0] ?? '', title: SONG.title, orderKey: 'a0' }];
  const event = { type: 'SongsAddedToPlaylist', playlistId, entries, rekeyed: [] } as const;
  const append = { kind: 'append', log: stack.log, workers: CONNECTIONS, event, category: 'playlist' } as const;
  return [...http, { name: APPEND, run: () => sampleOf(loader.run(append)) }];
}

async function addAndRead(url: string, { token, songs: [songId = ''] }: Prepared): Promise<void> {
  const path = await createPlaylist(url, token);
  const added = await post(url, path, { songId }, token);
  if (added.status === 503) return; // not acknowledged
  const read = await get(url, path, token);
  if (!read.text.includes(songId)) throw new Error(`${songId} was added, and reading ${path} answers ${read.text}`);
}

/** The required time, converted for a machine on which the bare server is slower. */
function converted([, bare]: readonly Outcome[]): string[] {
  if (!bare) return [];
  const { median } = summarise(seriesOf(bare, 'perSecond').values);
  const here = (P99_MS * REFERENCE_BARE) / median;
  const [reference, rate] = [REFERENCE_BARE, Math.round(median)].map((each) => `${each.toLocaleString('en')}/s`);
  return [
    `${P99_MS} ms are asked where the bare server does ${reference}; beside ${rate} that is ${here.toFixed(0)} ms`,
  ];
}
