import type { Chance } from './chance.ts';

/** Names of things, as far as their lengths and letters matter. */
export interface Words {
  title(): string;
  performer(): string;
  genre(): string;
}

const NOUNS: readonly [string, ...string[]] = [
  'Night',
  ...['River', 'Glass', 'Summer', 'Echo', 'Paper', 'Gold', 'Winter', 'Dust', 'Signal', 'Harbour', 'Velvet', 'Stone'],
  ...['Ghost', 'Sugar', 'Café', 'Żeby', 'Ночь', 'Straße', 'Señora', '夜', 'Moon', 'Static', 'Ocean', 'Fire', 'Garden'],
  ...['Mirror', 'Letter', 'Highway', 'Silence', 'Thunder', 'Marble', 'Cinema', 'Orange', 'Lullaby', 'Machine', 'Sky'],
];
const LINKS: readonly [string, ...string[]] = [' of the ', ' in ', ' and ', ' without ', ' '];
const GENRES: readonly [string, ...string[]] = ['Indie', 'Rock', 'Jazz', 'Folk', 'Electronic', 'Classical', 'Hip-Hop'];
const PERFORMERS = 5_000;

export function createWords({ pick, below }: Chance): Words {
  const title = () => {
    let text = pick(NOUNS);
    for (let more = below(4); more > 0; more--) text += pick(LINKS) + pick(NOUNS);
    return text;
  };
  return { title, genre: () => pick(GENRES), performer: () => `The ${pick(NOUNS)}s ${below(PERFORMERS)}` };
}
