import { UNSEEN } from '../accounts/usernames.ts';
import { reasonOf } from '../errors.ts';

const ALL_UNSEEN = new RegExp(UNSEEN, 'gu');

export type Output = (line: string) => void;

/**
 * Text that users wrote, in one line that neither controls the terminal nor changes the text around it. It is escaped as in JSON,
 * so that JSON that goes through it means the same.
 */
export const shown = (text: string): string =>
  text.replace(ALL_UNSEEN, (character) =>
    Array.from({ length: character.length }, (_, at) => escaped(character.charCodeAt(at))).join(''),
  );

const escaped = (unit: number): string => `\\u${unit.toString(16).padStart(4, '0')}`;

/** Keeps line breaks, because they come from the commands: text of users goes through `shown` before. */
const shownLines = (text: string): string => text.split('\n').map(shown).join('\n');

export const print: Output = (line) => void process.stdout.write(`${shownLines(line)}\n`);

export const printError = (error: unknown): void =>
  void process.stderr.write(`openmusic: ${shownLines(reasonOf(error))}\n`);

export interface ListOptions {
  /** For programs: one JSON array of everything that is known of each item. */
  readonly json?: boolean;
}

export interface Listing<Item> {
  readonly line: (item: Item) => string;
  /** What is said instead of an empty list. */
  readonly none?: string;
}

/** Prints a list: a line for each item, or JSON. */
export function printList<Item>(
  items: readonly Item[],
  { json = false }: ListOptions,
  { line, none }: Listing<Item>,
  output: Output = print,
): void {
  if (json) output(JSON.stringify(items, null, 2));
  else if (items.length === 0 && none !== undefined) output(none);
  else for (const item of items) output(line(item));
}
