import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = path.join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

/** The files of each recipe's table, by the recipe's title. `<name>` stands for what is new. */
const recipes = new Map(
  read('docs/how-to/extending.md')
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const rows = section.split('\n').filter((line) => line.startsWith('| `'));
      const files = rows.flatMap((line) =>
        [...(line.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, file = '']) => file),
      );
      return [section.split('\n')[0] ?? '', files];
    }),
);

/** Source files, tests apart, that mention a text. */
const mentioning = (text: string) =>
  globSync('src/**/*.ts', { cwd: root })
    .filter((file) => !file.endsWith('.test.ts') && read(file).includes(text))
    .toSorted();

/** An example of each recipe that exists, by what names it, and the source files that an author has to write or change. */
const examples: readonly (readonly [recipe: string, mention: string, own: string])[] = [
  ['An event', 'AlbumCoverChanged', ''],
  ['A table', "'./playlist-activities.ts'", 'src/projections/playlist-activities.ts'],
  ['A job type', "'./types/archive.ts'", 'src/jobs/types/archive.ts'],
  ['A provider', "'./webhook.ts'", 'src/providers/mail/webhook.ts'],
  ['A resource', "routes/songs/songs.ts'", 'src/http/routes/songs/songs.ts'],
];

const pattern = (file: string) => new RegExp(`^${file.replace(/[.]/g, '\\.').replace(/<\w+>/g, '[\\w-]+')}$`);

describe('the recipes of docs/how-to/extending.md', () => {
  it('name files that exist', () => {
    const files = globSync('{src,schemas,test,docs}/**/*', { cwd: root }).concat('frozen.sha256', '.env.example');
    const missing = [...recipes.values()].flat().filter((file) => !files.some((each) => pattern(file).test(each)));
    expect(missing).toEqual([]);
  });

  it.each(examples)('%s: list every source file that names %s', (recipe, mention, own) => {
    const listed = recipes.get(recipe) ?? [];
    const found = [...mentioning(mention), ...(own ? [own] : [])];
    expect(found.length).toBeGreaterThan(1);
    expect(found.filter((file) => !listed.some((each) => pattern(each).test(file)))).toEqual([]);
  });
});
