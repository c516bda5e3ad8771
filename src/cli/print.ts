import { UNSEEN } from '../accounts/usernames.ts';
import { reasonOf } from '../errors.ts';

const ALL_UNSEEN = new RegExp(UNSEEN, 'gu');

export type Output = (line: string) => void;

/**
 * Text of others in one line, which neither steers the terminal nor changes what stands around it. Escaped as in JSON, which
 * means the same then.
 */
export const shown = (text: string): string =>
  text.replace(ALL_UNSEEN, (character) =>
    Array.from({ length: character.length }, (_, at) => escaped(character.charCodeAt(at))).join(''),
  );

const escaped = (unit: number): string => `\\u${unit.toString(16).padStart(4, '0')}`;

/** Line breaks are ours: what others have written goes through `shown` before. */
const shownLines = (text: string): string => text.split('\n').map(shown).join('\n');

export const print: Output = (line) => void process.stdout.write(`${shownLines(line)}\n`);

export const printError = (error: unknown): void =>
  void process.stderr.write(`openmusic: ${shownLines(reasonOf(error))}\n`);
