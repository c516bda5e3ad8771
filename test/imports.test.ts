import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const root = path.join(import.meta.dirname, '..');

/** What each file imports of ours, by path. */
type Imports = ReadonlyMap<string, readonly string[]>;

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

function importsIn(text: string): Import[] {
  const source = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest);
  return source.statements.flatMap((node) => {
    if (!(ts.isImportDeclaration(node) || ts.isExportDeclaration(node))) return [];
    const { moduleSpecifier } = node;
    if (!moduleSpecifier || !ts.isStringLiteral(moduleSpecifier) || !moduleSpecifier.text.startsWith('.')) return [];
    const typeOnly = ts.isExportDeclaration(node)
      ? node.isTypeOnly
      : node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
    return [{ from: moduleSpecifier.text, typeOnly }];
  });
}

function importsOf(glob: string, withTypes: boolean): Imports {
  const files = globSync(glob, { cwd: root }).toSorted();
  return new Map(
    files.map((file) => {
      const imports = importsIn(readFileSync(path.join(root, file), 'utf8'));
      const counted = imports.filter(({ typeOnly }) => withTypes || !typeOnly);
      return [file, counted.map(({ from }) => path.join(path.dirname(file), from))];
    }),
  );
}

/** The circles of imports; empty when there is none. Each begins with the file that was visited first. */
function circlesIn(imports: Imports): string[][] {
  const circles: string[][] = [];
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): void => {
    const since = trail.indexOf(file);
    if (since >= 0) circles.push(trail.slice(since));
    if (since >= 0 || done.has(file)) return;
    for (const next of imports.get(file) ?? []) visit(next, [...trail, file]);
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
  return circles;
}

describe('no file imports itself by way of others', () => {
  it.each(['src/**/*.ts', 'stack/**/*.ts', 'bench/**/*.ts'])('in %s, also for types', (glob) => {
    const imports = importsOf(glob, true);
    expect(imports.size).toBeGreaterThan(5);
    expect(circlesIn(imports)).toEqual([]);
  });

  it('in the tests, but for types', () => {
    expect(circlesIn(importsOf('test/**/*.ts', false))).toEqual([]);
  });

  it('or it is found', () => {
    const imports = new Map([
      ['a.ts', ['b.ts', 'd.ts']],
      ['b.ts', ['c.ts']],
      ['c.ts', ['b.ts', 'd.ts']],
      ['d.ts', []],
    ]);
    expect(circlesIn(imports)).toEqual([['b.ts', 'c.ts']]);
    expect(importsIn("import type { A } from './a.ts';\nexport { b } from '../b.ts';\nimport c from 'c';")).toEqual([
      { from: './a.ts', typeOnly: true },
      { from: '../b.ts', typeOnly: false },
    ]);
  });
});
