import { generateNKeysBetween } from 'fractional-indexing';
import type { AnyEvent } from '../src/events/events.ts';
import { newId } from '../src/events/ids.ts';
import type { JobRequest } from '../src/events/jobs.ts';
import { createPlacement } from '../src/events/placement.ts';
import type { Append } from '../src/log/event-log.ts';
import { type ServedGeneration, follow } from './served-generation.ts';
import { type Author, createAuthor } from './generator/author.ts';
import { createChance } from './generator/chance.ts';
import { fill } from './generator/fill.ts';
import { openLog } from './log.ts';
import { SONG } from './requests.ts';
import type { Stack } from './stack.ts';

/** The product's log, and the read models that its projector fills from it. */
export type Written = Pick<Stack, 'log' | 'servers'> & { readonly generation: ServedGeneration };

const placement = createPlacement('openmusic', 6);
const HOUR_MS = 3_600_000;

/** Writes records as the write side does, and waits until they are applied. By requests this would take minutes. */
async function write(
  { log: place, servers, generation }: Written,
  recordsBy: (author: Author) => Append[],
): Promise<void> {
  // The author's clock runs faster than ours.
  const records = recordsBy(createAuthor(createChance(Date.now()), placement, Date.now() - HOUR_MS));
  const log = await openLog(place, placement.namespace);
  const before = await generation.applied();
  try {
    await fill(log, records);
  } finally {
    await log.close();
  }
  let running = true;
  void Promise.race(servers.map(({ ended }) => ended)).then(() => (running = false));
  await follow(generation, before + records.length, () => running);
}

/** Writes a playlist of these songs for each of these owners, and returns their ids. */
export async function writePlaylists(
  to: Written,
  owners: readonly string[],
  songs: readonly string[],
): Promise<string[]> {
  const ids: string[] = [];
  await write(to, (author) =>
    owners.flatMap((ownerId) => {
      const stream = author.name('playlist');
      ids.push(stream);
      return playlistBy(author, stream, ownerId, songs);
    }),
  );
  return ids;
}

function playlistBy(author: Author, stream: string, ownerId: string, songs: readonly string[]): Append[] {
  const { title } = SONG;
  const keys = generateNKeysBetween(null, null, songs.length);
  const events = [
    { type: 'PlaylistCreated', playlistId: stream, name: 'Morning', ownerId, description: null, visibility: 'private' },
    ...songs.map((songId, index) => ({
      type: 'SongsAddedToPlaylist' as const,
      playlistId: stream,
      rekeyed: [],
      entries: [{ entryId: author.name('entry'), songId, title, orderKey: keys[index] ?? '' }],
    })),
  ] satisfies AnyEvent[];
  let prev = '';
  return events.map((event, index) => {
    const { append, id } = author.write({ stream, version: index + 1, prev, origin: author.receive(ownerId), event });
    prev = id;
    return append;
  });
}

/** Writes so many queued jobs for each of these accounts. */
export async function writeJobs(to: Written, owners: readonly string[], each: number): Promise<void> {
  await write(to, (author) =>
    owners.flatMap((ownerId) =>
      Array.from({ length: each }, () => {
        const [stream, origin] = [`job-${newId().replaceAll('-', '')}`, author.receive(ownerId)];
        const event = { type: 'JobRequested', jobId: stream, request: { ...REQUEST, ownerId } } as const;
        return author.write({ stream, version: 1, prev: '', origin, event }).append;
      }),
    ),
  );
}

const REQUEST: JobRequest = {
  jobType: 'dummy',
  ownerId: '',
  parameters: '{"duration":0,"failures":0}',
  payloadId: null,
  provider: null,
  total: 1,
  attempts: 5,
  backoff: { strategy: 'none', firstMs: 0, maxMs: 0 },
  priority: 0,
  runAt: null,
  repeat: null,
  parentId: null,
  replaces: null,
};
