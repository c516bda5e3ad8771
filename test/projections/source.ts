import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

/** A file without types and comments. */
interface Module {
  /** Top-level declarations by name. */
  readonly declared: ReadonlyMap<string, ts.Node>;
  /** Imports of our own files: where each local name comes from, and its name there. */
  readonly imported: ReadonlyMap<string, { readonly file: string; readonly name: string }>;
  readonly source: ts.SourceFile;
}

/** The tables and rows that the engine makes are compared themselves. */
const ENGINE = path.join('src', 'projections', 'engine');

const COMPILER_OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.ESNext,
  removeComments: true,
  verbatimModuleSyntax: true,
};

/**
 * The code that makes the value `name` of the file: its declaration and those that it uses, also of other files of ours but the
 * engine. Comments, spaces, types and queries do not change it.
 */
export function sourceOf(file: string, name: string, modules = new Map<string, Module>()): string {
  const parts = new Map<string, string>();
  const add = (at: string, wanted: string): void => {
    const key = `${at}#${wanted}`;
    const { declared, imported, source } = moduleOf(at, modules);
    const from = imported.get(wanted);
    if (from && !from.file.includes(ENGINE)) add(from.file, from.name);
    const node = declared.get(wanted);
    if (!node || parts.has(key)) return;
    parts.set(key, textOf(node, source));
    for (const used of namesIn(node)) add(at, used);
  };
  add(file, name);
  return [...parts.values()].toSorted().join('\n');
}

function moduleOf(file: string, modules: Map<string, Module>): Module {
  const known = modules.get(file);
  if (known) return known;
  const { outputText } = ts.transpileModule(readFileSync(file, 'utf8'), { compilerOptions: COMPILER_OPTIONS });
  const source = ts.createSourceFile(file, outputText, ts.ScriptTarget.ESNext, true);
  const made = {
    source,
    declared: new Map(source.statements.flatMap(declarationsIn)),
    imported: new Map(source.statements.flatMap((node) => importsIn(node, file))),
  };
  modules.set(file, made);
  return made;
}

function declarationsIn(node: ts.Statement): [string, ts.Node][] {
  if (ts.isVariableStatement(node))
    return node.declarationList.declarations.flatMap((each) =>
      namesIn(each.name).map((name): [string, ts.Node] => [name, each]),
    );
  const isNamed = ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node);
  return isNamed && node.name ? [[node.name.text, node]] : [];
}

function importsIn(node: ts.Statement, importer: string): [string, { file: string; name: string }][] {
  if (!ts.isImportDeclaration(node) || !ts.isStringLiteral(node.moduleSpecifier)) return [];
  const file = path.join(path.dirname(importer), node.moduleSpecifier.text);
  const bindings = node.importClause?.namedBindings;
  if (!bindings || !ts.isNamedImports(bindings) || !existsSync(file)) return [];
  return bindings.elements.map(({ name, propertyName }) => [name.text, { file, name: (propertyName ?? name).text }]);
}

/** The tokens of the code. A comma before a closing bracket depends on the format only. */
function textOf(node: ts.Node, source: ts.SourceFile): string {
  const tokens = (each: ts.Node): string[] => {
    const children = each.getChildren(source);
    return children.length > 0 ? children.flatMap(tokens) : [each.getText(source)];
  };
  return tokens(node)
    .filter((token) => token !== '')
    .join(' ')
    .replace(/ , (?=[)\]}])/g, ' ');
}

function namesIn(node: ts.Node): string[] {
  const names = ts.isIdentifier(node) ? [node.text] : [];
  ts.forEachChild(node, (child) => void names.push(...namesIn(child)));
  return names;
}

/** The names in the list that the file declares, in their order. */
export function listIn(file: string, name: string): string[] {
  const list = moduleOf(file, new Map()).declared.get(name);
  if (!list || !ts.isVariableDeclaration(list) || !list.initializer)
    throw new Error(`${file} declares no list ${name}.`);
  return namesIn(list.initializer);
}
