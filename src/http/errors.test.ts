import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

/** Finds codes in src: after `code:`, or as an argument of a function that makes an error. */
const CODE =
  /(?:\bcode: |(?:notFound|rejected|unavailable|badInput|again)\(\s*|(?:AppError|JobFailure|ProviderError)\(\s*'[a-z-]+',\s*)'([A-Z]+(?:_[A-Z]+)*)'/g;
const ANY_CODE = /'([A-Z]+(?:_[A-Z]+)*)'/g;

function codesIn(pattern: string, where = CODE): Set<string> {
  const files = globSync(pattern, { cwd: root.pathname }).filter((path) => !path.endsWith('.test.ts'));
  return new Set(files.flatMap((path) => [...read(path).matchAll(where)].map(([, code = '']) => code)));
}

describe('docs/reference/errors.md', () => {
  const documented = new Set(
    [...read('docs/reference/errors.md').matchAll(/^\| (?:\d{3} +\| )?`([A-Z_]+)`/gm)].map(([, code = '']) => code),
  );

  it('documents every code that a client can see', () => {
    const codes = codesIn('src/{accounts,commands,consumers,projections,http,jobs,providers}/**/*.ts');
    expect(codes.size).toBeGreaterThan(20);
    expect([...codes].filter((code) => !documented.has(code))).toEqual([]);
  });

  it('documents no code that was removed', () => {
    const codes = codesIn('src/**/*.ts', ANY_CODE);
    expect([...documented].filter((code) => !codes.has(code))).toEqual([]);
  });
});
