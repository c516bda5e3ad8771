import { globSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';
import { FAST, FIRST, FULL } from './tiers.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = ['src', 'stack', 'test', 'bench'].flatMap((folder) =>
  globSync('**/*.test.ts', { cwd: join(root, folder) }).map((file) => join(folder, file)),
);
const tiersOf = (file: string) =>
  Object.entries({ FAST, FULL }).flatMap(([name, globs]) =>
    globs.some((glob) => matchesGlob(file, glob)) ? name : [],
  );

it('puts each test file in exactly one tier', () => {
  expect(files.length).toBeGreaterThan(100);
  const wrong = files.map((file) => [file, ...tiersOf(file)]).filter((tiers) => tiers.length !== 2);
  expect(wrong).toEqual([]);
});

it('matches a file with every glob', () => {
  const unused = [...FAST, ...FULL, ...FIRST].filter((glob) => !files.some((file) => matchesGlob(file, glob)));
  expect(unused).toEqual([]);
});
