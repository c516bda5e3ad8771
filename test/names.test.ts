import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from '@jest/globals';
import ts from 'typescript';

const src = path.join(import.meta.dirname, '../src');

/** Names of the types, interfaces and classes that the file declares and exports. */
function exportedTypes(file: string): string[] {
  const source = ts.createSourceFile(file, readFileSync(path.join(src, file), 'utf8'), ts.ScriptTarget.Latest);
  return source.statements.flatMap((statement) =>
    isType(statement) && statement.name && isExported(statement) ? [statement.name.text] : [],
  );
}

const isType = (node: ts.Statement) =>
  ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isClassDeclaration(node);

const isExported = (node: ts.HasModifiers): boolean =>
  ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;

it('gives each exported type of src a name of its own', () => {
  const exported = globSync('**/*.ts', { cwd: src }).flatMap((file) =>
    exportedTypes(file).map((name) => ({ name, file })),
  );
  const byName = Map.groupBy(exported, ({ name }) => name);
  const shared = [...byName].filter(([, uses]) => uses.length > 1);
  expect(shared.map(([name, uses]) => `${name}: ${uses.map(({ file }) => file).join(', ')}`)).toEqual([]);
  expect(byName.size).toBeGreaterThan(100);
});
