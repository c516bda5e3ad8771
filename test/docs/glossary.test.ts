import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';

const root = new URL('../../', import.meta.url);

/** Lower case, a space between words: `StreamIndex`, `stream_index` and `stream index` are alike. */
const wordsOf = (text: string) =>
  text
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[^A-Za-z0-9]+/g, ' ')
    .toLowerCase();

const code = globSync('src/**/*.{ts,lua}', { cwd: fileURLToPath(root) })
  .filter((file) => !file.endsWith('.test.ts'))
  .map((file) => wordsOf(readFileSync(new URL(file, root), 'utf8')))
  .join(' ');

/** Terms stand in bold, several of one entry with commas between them. */
const terms = [
  ...readFileSync(new URL('docs/reference/glossary.md', root), 'utf8').matchAll(/\*\*([^*]+)\*\*/g),
].flatMap(([, bold = '']) => bold.split(',').map((term) => term.trim()));

it('docs/reference/glossary.md has only terms that the code uses', () => {
  expect(terms.length).toBeGreaterThan(50);
  expect(terms.filter((term) => !new RegExp(`\\b${wordsOf(term).trim()}`).test(code))).toEqual([]);
});
