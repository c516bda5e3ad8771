import type { Placement } from '../../src/events/placement.ts';
import type { Append } from '../../src/log/event-log.ts';
import { createAuthor } from './author.ts';
import { createCatalog, type Move } from './catalog.ts';
import { createChance, type Chance } from './chance.ts';
import { likeMoves } from './likes.ts';
import { playlistMoves } from './playlists.ts';

export interface GeneratorOptions {
  readonly placement: Placement;
  /** The same seed gives the same records, byte by byte. */
  readonly seed: number;
  readonly events: number;
  /** When the first command arrives, in milliseconds since the epoch. */
  readonly startAt?: number;
}

/** Ids of accounts that do not exist, because accounts are not on the log. */
const PEOPLE = 1_000;
const START_AT = Date.UTC(2025, 0, 1);

/** Records as our write side would write them, each a winner, in a possible order. */
export function* generate({ placement, seed, events, startAt = START_AT }: GeneratorOptions): Generator<Append, void> {
  const chance = createChance(seed);
  const author = createAuthor(chance, placement, startAt);
  const catalog = createCatalog(author);
  const people = Array.from({ length: PEOPLE }, () => author.name('user'));
  const moves = [...catalog.moves, ...playlistMoves(author, catalog, people), ...likeMoves(author, catalog, people)];
  for (let count = 0; count < events;) {
    const append = choose(moves, chance).happen();
    if (!append) continue;
    count++;
    yield append;
  }
}

function choose(moves: readonly Move[], chance: Chance): Move {
  let point = chance.below(moves.reduce((sum, { weight }) => sum + weight, 0));
  const chosen = moves.find(({ weight }) => (point -= weight) < 0);
  if (!chosen) throw new Error('Nothing can happen.');
  return chosen;
}
