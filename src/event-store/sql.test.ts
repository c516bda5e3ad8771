import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from '@jest/globals';

const src = path.join(import.meta.dirname, '..');

/** Files that name the table without reading or writing it, each with its line. */
const EXCEPTIONS = [
  ['projections/generations/checksums.ts', "stream_events: '*',"], // the list of tables whose rows are compared
];

/** Comments name the table too. */
const isComment = (line: string): boolean => /^(\/\/|\/?\*)/.test(line);

it('is the only place with SQL on stream_events', () => {
  const lines = globSync('**/*.ts', { cwd: src, exclude: ['event-store/**', '**/*.test.ts'] }).flatMap((file) =>
    readFileSync(path.join(src, file), 'utf8')
      .split('\n')
      .map((line) => [file, line.trim()] as const)
      .filter(([, line]) => line.includes('stream_events') && !isComment(line)),
  );
  expect(lines).toEqual(EXCEPTIONS);
});
