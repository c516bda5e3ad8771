import { Agent } from 'node:http';
import { albums } from './albums.ts';
import { write } from './category.ts';
import { attempt } from './exchange.ts';
import type { Operation, Wish } from './history.ts';

/**
 * What faults are planted in, and what no load is sure to have done: an album that changes twice, one that is deleted,
 * neither with songs, and a list of three songs.
 */
export async function performScript(url: string): Promise<Operation[]> {
  const agent = new Agent({ keepAlive: true });
  const operations: Operation[] = [];

  async function perform(wish: Wish): Promise<unknown> {
    const name = `scripted.${operations.length}`;
    const done = await attempt(wish, { id: name, url, agent, giveUpAfterMs: 15_000 });
    operations.push({ name, wish, attempts: [done] });
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
  for (const title of ['One', 'Two', 'Three']) {
    const json = { title, year: 2000, genre: 'Indie', performer: 'Nobody else' };
    await perform(write('song', ['POST', '/songs'], { event: { type: 'SongCreated', ...json } }, json));
  }
  await perform({ category: 'song', method: 'GET', path: '/songs?performer=Nobody%20else' });
  agent.destroy();
  return operations;
}

const details = { name: 'Scripted', year: 2000 };
const created = { event: { type: 'AlbumCreated', ...details } } as const;
