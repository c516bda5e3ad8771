import { partitionOf } from '../../../src/events/placement.ts';
import { claim, kitCase, loses, streamIn, wins } from '../kit.ts';

/** The examples of docs/reference/log-format.md. */
const EXAMPLES = [
  ['openmusic.catalog', 'album-1', 2],
  ['openmusic.catalog', 'album-0198f5f43c4b7a318a411f2f3a4b5c6d', 5],
  ['openmusic.catalog', 'song-1', 1],
  ['openmusic.playlists', 'playlist-1', 0],
  ['openmusic.likes', 'like-album-0198f5f43c4b7a318a411f2f3a4b5c6d-user-0198f5f43c4b7a318a411f2f3a4b5c70', 5],
  ['openmusic.likes', 'like-album-Mk8-AnmCp_210Pw--user-qFT-BYVQH', 1],
  ['openmusic.likes', 'like-song-Qbax5Oy7L8WKf74l-user-2', 0],
] as const;

const genesis = (topic: string, partition: number) => claim({ stream: `genesis-${topic}-${partition}` });
const like = (stream: string, partition: number) =>
  kitCase(`${stream} belongs into partition ${partition}`, [wins(claim({ stream }))], {
    topic: 'openmusic.likes',
    partition,
  });

export const placement = [
  ...EXAMPLES.map(([topic, stream, partition]) =>
    kitCase(`${stream} belongs into partition ${partition} of ${topic}`, [wins(claim({ stream }))], {
      topic,
      partition,
    }),
  ),
  like('like-a-user-b-user-c', partitionOf('a-user-b', 6)),
  like('like-without', partitionOf('like-without', 6)),
  like('like--user-c', partitionOf('like--user-c', 6)),
  kitCase('elsewhere a stream is foreign', [
    loses(claim({ stream: streamIn(1, 3) }), 'foreign', 'another partition'),
    loses(claim({ stream: streamIn(1, 2, 'playlist') }), 'foreign', 'another topic'),
    loses(claim({ stream: streamIn(1, 2, 'thing') }), 'foreign', 'no category of ours'),
    loses(claim({ stream: streamIn(1, 2, 'Album') }), 'foreign', 'categories are in small letters'),
    wins(claim({ stream: streamIn(1, 2, 'song') })),
  ]),
  kitCase('a category may be the whole id', [
    partitionOf('album', 6) === 2 ? wins(claim({ stream: 'album' })) : loses(claim({ stream: 'album' }), 'foreign'),
  ]),
  ...[1, 3, 12].map((partitions) =>
    kitCase(
      `with ${partitions} partitions`,
      [wins(claim({ stream: 'album-1' })), wins(claim({ stream: streamOf(partitions) }))],
      { partitions, partition: partitionOf('album-1', partitions) },
    ),
  ),
  kitCase('a genesis stream belongs into the partition that it names', [
    loses(genesis('openmusic.catalog', 3), 'foreign', 'of another partition'),
    loses(genesis('openmusic.likes', 2), 'foreign', 'of another topic'),
    wins(genesis('openmusic.catalog', 2)),
  ]),
  kitCase('a namespace may hold dots', [wins(genesis('my.music.catalog', 2)), wins(claim())], {
    topic: 'my.music.catalog',
  }),
];

/** Another stream in the partition of `album-1`. */
function streamOf(partitions: number): string {
  for (let n = 2; ; n++) {
    if (partitionOf(`song-${n}`, partitions) === partitionOf('album-1', partitions)) return `song-${n}`;
  }
}
