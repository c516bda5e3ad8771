import { albums } from './albums.ts';
import type { Category } from './category.ts';
import { jobs } from './jobs.ts';
import { likeCounts, likes } from './likes.ts';
import { playlists } from './playlists.ts';
import { songs } from './songs.ts';

/** Every category that the checker can request and judge. */
export const categories: readonly Category[] = [albums, songs, playlists, likes, likeCounts, jobs];

export function categoryNamed(name: string): Category {
  const found = categories.find((each) => each.name === name);
  if (!found) throw new Error(`No category of the history checker is called ${name}.`);
  return found;
}
