import type pg from 'pg';
import { fold } from '../src/text.ts';
import { type Chance, createChance } from './generator/chance.ts';

export interface Song {
  readonly id: string;
  readonly title: string;
  readonly performer: string;
}

/** A table of songs, which are not on any log, to be searched. */
export interface Shelf {
  /** Songs to search for, spread evenly over all. */
  fillUpTo(size: number): Promise<Song[]>;
}

const SEED = 1;
const BATCH = 2_000;
const WANTED = 100;
export const WORDS = 20_000;
/** Letters in the title of a searched song, because shorter titles are parts of many others. */
export const SELECTIVE_LENGTH = 20;

const INSERT = `INSERT INTO songs (id, version, title, year, genre, performer, folded_title, folded_performer)
  SELECT id, 1, title, 2008, 'Indie', performer, folded_title, folded_performer
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS song (id, title, performer, folded_title, folded_performer)`;

/** The table must be empty, and in the client's search path. */
export function createShelf(client: pg.Client): Shelf {
  const songs = inventSongs();
  /** As many of each batch as are needed in the end, because the number of batches is not known. */
  const selective: Song[] = [];
  let filled = 0;

  async function add(count: number): Promise<void> {
    const batch = Array.from({ length: count }, () => songs.next().value);
    const columns = (['id', 'title', 'performer'] as const).map((column) => batch.map((song) => song[column]));
    await client.query(INSERT, [...columns, ...columns.slice(1).map((texts) => texts.map(fold))]);
    selective.push(...batch.filter(({ title }) => title.length >= SELECTIVE_LENGTH).slice(0, WANTED));
    filled += count;
  }

  return {
    async fillUpTo(size) {
      while (filled < size) await add(Math.min(BATCH, size - filled));
      await client.query('VACUUM (ANALYZE) songs');
      return Array.from({ length: WANTED }, (_, n) => selective[Math.floor((n * selective.length) / WANTED)]).flatMap(
        (song) => song ?? [],
      );
    },
  };
}

/** The words are always the same ones. */
export function inventedSongs(count: number): Song[] {
  const songs = inventSongs();
  return Array.from({ length: count }, () => songs.next().value);
}

function* inventSongs(): Generator<Song, never> {
  const chance = createChance(SEED);
  const words = Array.from({ length: WORDS }, () => inventWord(chance));
  /** Some words are much more common than others. */
  const phrase = (length: number) =>
    Array.from({ length }, () => words[Math.floor((chance.below(WORDS) * chance.below(WORDS)) / WORDS)]).join(' ');
  for (;;) {
    const id = `song-${Buffer.from(chance.bytes()).toString('hex')}`;
    yield { id, title: phrase(1 + chance.below(5)), performer: phrase(1 + chance.below(3)) };
  }
}

/** Two to four syllables, in which about as many groups of three letters are possible as a language has. */
function inventWord({ below, pick }: Chance): string {
  const letter = (of: string) => of[below(of.length)] ?? '';
  const syllable = () => letter('bcdfghjklmnprstvwzñç') + letter('aaaeeeiioouéöå') + pick(['', '', letter('nrstlx')]);
  const word = Array.from({ length: 2 + below(3) }, syllable).join('');
  return word.charAt(0).toUpperCase() + word.slice(1);
}
