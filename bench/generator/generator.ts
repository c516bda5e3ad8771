import type { Placement } from '../../src/events/placement.ts';
import type { Append } from '../../src/log/event-log.ts';
import { createAuthor } from './author.ts';
import { catalogMoves, type Move } from './catalog.ts';
import { createChance, type Chance } from './chance.ts';

export interface GeneratorOptions {
  readonly placement: Placement;
  /** The same seed gives the same records, byte by byte. */
  readonly seed: number;
  readonly events: number;
  /** When the first command comes in, in milliseconds since the epoch. */
  readonly startAt?: number;
}

const START_AT = Date.UTC(2025, 0, 1);

/** Records that our write side would have written, each a winner, in an order in which it could have written them. */
export function* generate({ placement, seed, events, startAt = START_AT }: GeneratorOptions): Generator<Append, void> {
  const chance = createChance(seed);
  const moves = catalogMoves(createAuthor(chance, placement, startAt));
  for (let count = 0; count < events; count++) yield choose(moves, chance).happen();
}

function choose(moves: readonly Move[], chance: Chance): Move {
  const possible = moves.filter((move) => move.possible());
  let point = chance.below(possible.reduce((sum, { weight }) => sum + weight, 0));
  const chosen = possible.find(({ weight }) => (point -= weight) < 0);
  if (!chosen) throw new Error('Nothing can happen.');
  return chosen;
}
