import type { Comparison, Figure, Plan } from '../figure.ts';
import { createSong, register, times } from '../requests.ts';
import { openServedGeneration } from '../served-generation.ts';
import { embedded } from '../shapes.ts';
import { type Contestant, takeTurns } from '../turns.ts';
import { type Beside, comparisonOf, compareWrites, sampleOf, type Subject } from '../writes.ts';
import { writePlaylists } from '../written.ts';

const EVENTS = 10_000;
/** The playlist has each of them several times. */
const SONGS = 200;
const QUICK_EVENTS = 200;
/** Versions that are read in turn, evenly spaced from the first to the last. */
const VERSIONS = 11;
const CURRENT = 'GET /playlists/{id}/songs';
const AT_MOST_MS = 100;

export const playlistVersions: Figure = {
  name: 'playlist-versions',
  about: 'GET /playlists/{id}/songs?version= of a playlist with 10,000 events',
  method: `One playlist gets ${EVENTS.toLocaleString('en')} songs, each by an event of its own. ${VERSIONS} of its versions, from the empty one to that with all
songs, are read in turn over one connection, and then the last one alone. *${CURRENT}* reads the same songs from the tables of
the read model; it is too long to be cached.`,
  overHttp: false,
  run: (plan) => compareWrites([{ shape: embedded, floors: {} }], plan, compare),
};

async function compare(subject: Subject, { loader }: Beside, plan: Plan): Promise<Comparison[]> {
  const { title, url, stack } = subject;
  if (!stack) throw new Error('This figure writes to the log of servers of its own.');
  const token = await register(url);
  const events = plan.quick ? QUICK_EVENTS : EVENTS;
  const path = await preparePlaylist({ ...subject, stack }, token, events);
  const last = events + 1;
  const versions = Array.from({ length: VERSIONS }, (_, n) => 1 + Math.round((n * (last - 1)) / (VERSIONS - 1)));
  const read =
    (...paths: string[]) =>
    async () =>
      sampleOf(loader.run({ kind: 'http', method: 'GET', connections: 1, url, paths, token }));
  const any: Contestant[] = [
    { name: 'ours', run: read(...versions.map((version) => `${path}?version=${version}`)) },
    { name: CURRENT, run: read(path) },
  ];
  const full: Contestant[] = [
    { name: 'ours', run: read(`${path}?version=${last}`) },
    { name: CURRENT, run: read(path) },
  ];
  const asked = [{ atMost: AT_MOST_MS }];
  const outcomes = await takeTurns(any, plan);
  const ofLast = await takeTurns(full, plan);
  return [
    comparisonOf(`${title}, any version, p50`, outcomes, 'p50Ms', asked),
    comparisonOf(`${title}, any version, p99`, outcomes, 'p99Ms', asked),
    comparisonOf(`${title}, the last version, p50`, ofLast, 'p50Ms', asked),
  ];
}

/** A playlist with so many songs of the token's account. Its last version is one more, because it was created before. */
async function preparePlaylist({ url, stack }: Required<Subject>, token: string, songs: number): Promise<string> {
  const generation = await openServedGeneration(stack.connection);
  try {
    const some = await times(SONGS, () => createSong(url));
    const all = Array.from({ length: songs }, (_, n) => some[n % some.length] ?? '');
    const [id] = await writePlaylists({ ...stack, generation }, [accountOf(token)], all);
    return `/playlists/${id}/songs`;
  } finally {
    await generation.close();
  }
}

/** The account that an access token names. */
function accountOf(token: string): string {
  const [, claims = ''] = token.split('.');
  return (JSON.parse(Buffer.from(claims, 'base64url').toString()) as { sub: string }).sub;
}
