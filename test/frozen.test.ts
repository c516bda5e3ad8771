import { hash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';

const root = path.join(import.meta.dirname, '..');
/** Lines of `sha256sum schemas/*.avsc migrations/*.sql`. */
const frozen = new Map(
  readFileSync(path.join(root, 'frozen.sha256'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => [line.slice(66), line.slice(0, 64)] as const),
);
const files = globSync(['schemas/*.avsc', 'migrations/*.sql'], { cwd: root });

test.each([...frozen])('%s is unchanged since its release: another version is another file', (file, sum) => {
  expect(hash('sha256', readFileSync(path.join(root, file)))).toBe(sum);
});

test('every schema and every migration is frozen: sha256sum adds the line of a new one to frozen.sha256', () => {
  expect(files.toSorted()).toEqual([...frozen.keys()].toSorted());
});
