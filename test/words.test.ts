import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = path.join(import.meta.dirname, '..');
const CODE = ['src/**/*.ts', 'stack/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'];
const PAGES = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/**/*.md'];
const SETTINGS = ['*.{ts,yml}', '.env.example', '.ci/*', '.github/**/*.yml', 'schemas/*.{avsc,py}'];
/** This file names the words that it forbids. */
const THIS = path.relative(root, import.meta.filename);

/** Pronouns that hide who acts. A sentence names the process, the client or the user instead. */
const RIDDLES = /\b(?:whoever|nobody|somebody|whatever)\b/i;

/** A user of Unix is called so. */
const UNIX_USER = /\bpostgres`? or `?nobody\b|['`]nobody['`]/;

/** A spread of an object literal does nothing but change the layout of the code. */
const SPREAD_LITERAL = /\.\.\.\{/;

/** Names that the code had before it took the terms of docs/reference/glossary.md. */
const RETIRED = new RegExp(
  `\\b(?:${[
    'KnownRow',
    'JobWish',
    'Wish',
    'wish(?:es)?',
    'writtenTogether',
    'Doorbell',
    'doorbell',
    'markedStore',
    'changedBy',
    'Sighting',
    'Ground',
    'Ledger',
    'GO_ON',
    'proviso',
    'MadeFile',
    'JobStory',
    'unheardOf',
    'WorkInHand',
    'letGo',
    'Feeds?',
    'thingIdOf',
    'flights',
    'trial',
    '(?!TOO_MANY_)(?:[A-Z]+_)*AT_ONCE',
    'MOST_[A-Z_]+',
  ].join('|')})\\b`,
);

function linesWith(pattern: RegExp, globs: readonly string[]): string[] {
  const files = globSync([...globs], { cwd: root }).filter((file) => file !== THIS);
  expect(files).not.toHaveLength(0);
  return files.toSorted().flatMap((file) =>
    readFileSync(path.join(root, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? `${file}:${index + 1}: ${line.trim()}` : [])),
  );
}

describe('plain words', () => {
  it.each([...CODE, ...PAGES, ...SETTINGS])('name the actor in %s', (glob) => {
    const found = linesWith(RIDDLES, [glob]);
    expect(found.filter((line) => !UNIX_USER.test(line))).toEqual([]);
  });

  it.each([...CODE, ...PAGES])('need no spread of an object literal in %s', (glob) => {
    expect(linesWith(SPREAD_LITERAL, [glob])).toEqual([]);
  });

  it.each(CODE)('have replaced the retired names in %s', (glob) => {
    expect(linesWith(RETIRED, [glob])).toEqual([]);
  });

  it.each([
    ['a pronoun', RIDDLES, 'Nobody reads it.'],
    ['a spread', SPREAD_LITERAL, 'const a = { ...{ b, c } };'],
    ['a retired type', RETIRED, 'let row: KnownRow;'],
    ['a retired constant', RETIRED, 'const LOOKED_FOR_AT_ONCE = 5;'],
  ])('are checked: %s is found', (_, pattern, line) => {
    expect(line).toMatch(pattern);
  });
});
