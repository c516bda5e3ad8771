import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from '@jest/globals';
import ts from 'typescript';

const root = path.join(import.meta.dirname, '..');

/** Names of the types, interfaces and classes that the file declares and exports. */
function exportedTypes(file: string): string[] {
  const source = ts.createSourceFile(file, readFileSync(path.join(root, file), 'utf8'), ts.ScriptTarget.Latest);
  return source.statements.flatMap((statement) =>
    isType(statement) && statement.name && isExported(statement) ? [statement.name.text] : [],
  );
}

const isType = (node: ts.Statement) =>
  ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isClassDeclaration(node);

const isExported = (node: ts.HasModifiers): boolean =>
  ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;

/** The tools stand apart from the product, and may have words of their own for other things. */
it.each([
  ['src', 100],
  ['stack', 5],
  ['bench', 20],
])('gives each exported type of %s a name of its own', (folder, atLeast) => {
  const exported = globSync(`${folder}/**/*.ts`, { cwd: root }).flatMap((file) =>
    exportedTypes(file).map((name) => ({ name, file })),
  );
  const byName = Map.groupBy(exported, ({ name }) => name);
  const shared = [...byName].filter(([, uses]) => uses.length > 1);
  expect(shared.map(([name, uses]) => `${name}: ${uses.map(({ file }) => file).join(', ')}`)).toEqual([]);
  expect(byName.size).toBeGreaterThan(atLeast);
});
