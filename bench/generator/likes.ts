import { like } from '../../src/commands/like.ts';
import { likedIn, likeOf } from '../../src/events/likes.ts';
import type { Append } from '../../src/log/event-log.ts';
import type { Author } from './author.ts';
import type { Catalog, Move } from './catalog.ts';
import { createCategory } from './category.ts';

/** Likes of albums. No account likes the same album twice. */
export function likeMoves(author: Author, catalog: Catalog, people: readonly string[]): Move[] {
  const likes = createCategory(like, author);
  const context = { albumExists: true };
  const ever = new Set<string>();

  function likeAny(): Append | undefined {
    const [albumId, accountId] = [catalog.anyAlbum(), author.chance.any(people)];
    if (albumId === undefined || accountId === undefined) return undefined;
    const stream = likeOf(albumId, accountId);
    if (ever.has(stream)) return undefined;
    ever.add(stream);
    return likes.create({ command: { type: 'LikeAlbum', albumId, accountId }, context, actor: accountId }, stream);
  }

  /** A like of an existing album. */
  const unlikeAny = () =>
    likes.end(({ id }) => {
      const albumId = likedIn(id) ?? '';
      const accountId = id.slice(likeOf(albumId, '').length);
      if (!catalog.hasAlbum(albumId)) return undefined;
      return { command: { type: 'UnlikeAlbum', albumId, accountId }, context, actor: accountId };
    });

  return [
    { weight: 5, happen: likeAny },
    { weight: 1, happen: unlikeAny },
  ];
}
