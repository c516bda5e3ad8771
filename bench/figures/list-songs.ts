import type { Comparison, Figure, Plan } from '../figure.ts';
import { createSong, CREATE_ALBUM, forAll } from '../requests.ts';
import { embedded, unflushed } from '../shapes.ts';
import { inventedSongs, type Song } from '../songs.ts';
import { type Contestant, takeTurns } from '../turns.ts';
import { type Beside, comparisonOf, compareWrites, sampleOf, type Subject } from '../writes.ts';

const SONGS = 1_000;
const SEARCHES = 100;
const CONNECTIONS = 50;
const POST = 'POST /albums';

/** The share that searches had before they were read by key, 959 of 4,168 a second, and how much later the slow ones came. */
const SHARE_BEFORE = 959 / 4_168;
const LATER_BEFORE = 100 / 35;

export const listSongs: Figure = {
  name: 'list-songs',
  about: `GET /songs?title=&performer= over ${SONGS.toLocaleString('en')} songs, beside POST /albums`,
  method: `${SONGS.toLocaleString('en')} songs with titles of one to five made-up words and performers of one to three are created by the API. ${SEARCHES}
of them are searched for in turn, each by the first word of its title and the first word of its performer. *${POST}* creates
albums on the same server over as many connections.`,
  overHttp: true,
  run: (plan) =>
    compareWrites(
      [
        { shape: embedded, floors: {} },
        { shape: unflushed, floors: {} },
      ],
      plan,
      compare,
    ),
};

async function compare({ title, url }: Subject, { loader }: Beside, plan: Plan): Promise<Comparison[]> {
  const paths = await searchesOf(url);
  const contestants: Contestant[] = [
    {
      name: 'ours',
      run: () => sampleOf(loader.run({ kind: 'http', method: 'GET', connections: CONNECTIONS, url, paths })),
    },
    { name: POST, run: () => sampleOf(loader.run({ kind: 'http', url, connections: CONNECTIONS, ...CREATE_ALBUM })) },
  ];
  for (const { run } of contestants) await run(); // to warm up
  const outcomes = await takeTurns(contestants, plan);
  const share = [{ limit: POST, atLeast: 3 * SHARE_BEFORE, from: 'three times the share before' }];
  const later = [{ limit: POST, atMost: LATER_BEFORE / 3, from: 'a third of the ratio before' }];
  return [
    comparisonOf(`${title}, ${CONNECTIONS} connections`, outcomes, 'perSecond', share),
    comparisonOf(`${title}, ${CONNECTIONS} connections, p99`, outcomes, 'p99Ms', later),
  ];
}

/** Creates the songs, and returns what some of them are searched by. */
export async function searchesOf(url: string): Promise<string[]> {
  const songs = inventedSongs(SONGS);
  await forAll(songs, ({ title, performer }) => createSong(url, undefined, { title, performer }));
  return songs.slice(0, SEARCHES).map(pathOf);
}

function pathOf({ title, performer }: Pick<Song, 'title' | 'performer'>): string {
  const [word = ''] = title.split(' ');
  const [name = ''] = performer.split(' ');
  return `/songs?${new URLSearchParams({ title: word, performer: name }).toString()}`;
}
