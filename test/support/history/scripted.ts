import { Agent } from 'node:http';
import { albums } from './albums.ts';
import { write } from './category.ts';
import { attempt } from './exchange.ts';
import type { Operation, Person, PlannedRequest } from './history.ts';
import { count, like } from './likes.ts';
import { addCollaborator, addSong, create, list, playlists, read, removeCollaborator } from './playlists.ts';
import { register } from './record.ts';
import { songs } from './songs.ts';

/** The performed script: its people, and what they created. */
export interface Script {
  readonly operations: readonly Operation[];
  readonly owner: Person;
  /** Was a collaborator of the playlist, and is none any more. */
  readonly former: Person;
  /** Has three songs, added by the owner, the former collaborator, and the owner again. */
  readonly playlist: string;
  /** Both like it. */
  readonly album: string;
}

/**
 * The targets of planted faults, which no random load is sure to produce: an album that changes twice, one that is deleted,
 * neither with songs, a list of three songs, the same songs in a playlist that was shared for a time, and an album with two
 * likes. Everything is read at the end.
 */
export async function performScript(url: string): Promise<Script> {
  const agent = new Agent({ keepAlive: true });
  const [owner, former] = await register(url, 2);
  if (!owner || !former) throw new Error('No user could be registered.');
  const operations: Operation[] = [];

  async function perform(request: PlannedRequest): Promise<unknown> {
    const name = `scripted.${operations.length}`;
    const done = await attempt(request, { id: name, url, agent, giveUpAfterMs: 15_000 });
    operations.push({ name, request, attempts: [done] });
    return done.outcome.kind === 'ok' ? done.outcome.body : {};
  }

  for (const end of ['changed', 'deleted']) {
    const stream = albums.created(await perform(write('album', ['POST', '/albums'], created, details)));
    const path = `/albums/${stream ?? ''}`;
    const change = write('album', ['PUT', path], { stream, event: { type: 'AlbumChanged', ...details } }, details);
    await perform(change);
    if (end === 'changed') await perform(change);
    else await perform(write('album', ['DELETE', path], { stream, event: { type: 'AlbumDeleted' } }));
  }
  const playlist = playlists.created(await perform(create(owner, 'Scripted'))) ?? '';
  await perform(addCollaborator(playlist, former.id, owner));
  for (const title of ['One', 'Two', 'Three']) {
    const json = { title, year: 2000, genre: 'Indie', performer: 'Another band' };
    const made = await perform(write('song', ['POST', '/songs'], { event: { type: 'SongCreated', ...json } }, json));
    await perform(addSong({ stream: playlist }, songs.created(made) ?? '', title === 'Two' ? former : owner));
  }
  for (const request of readsOf(playlist, former)) await perform(request);
  await perform(removeCollaborator(playlist, former.id, owner));
  const album = albums.created(await perform(write('album', ['POST', '/albums'], created, details))) ?? '';
  for (const person of [owner, former]) await perform(like(album, person));
  await perform({ category: 'song', method: 'GET', path: '/songs?performer=Another%20band' });
  for (const request of readsOf(playlist, owner, former)) await perform(request);
  await perform(count(album));
  agent.destroy();
  return { operations, owner, former, playlist, album };
}

const readsOf = (playlist: string, ...people: readonly Person[]) =>
  people.flatMap((as) => [list(as), read(playlist, 'songs', as), read(playlist, 'activities', as)]);

const details = { name: 'Scripted', year: 2000 };
const created = { event: { type: 'AlbumCreated', ...details } } as const;
