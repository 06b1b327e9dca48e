import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import ts from 'typescript';

/** One file of the project, read and parsed. */
export interface Source {
  /** From the project's folder, with `/`. */
  path: string;
  lines: number;
  tree: ts.SourceFile;
  imports: Import[];
}

export interface Import {
  specifier: string;
  /** For a relative import: the path it names, without extension; else null. */
  target: string | null;
  line: number;
  /** Whether it takes nothing but types. */
  isType: boolean;
}

/** Every TypeScript file below these folders, and those beside them; what is generated or compiled is left out. */
export function readSources(root: string, folders: string[]): Source[] {
  return folders
    .flatMap((folder) => listFiles(root, folder))
    .map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')));
}

export function parseSource(path: string, text: string): Source {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  return { path, lines: text.replace(/\n$/, '').split('\n').length, tree, imports: findImports(path, tree) };
}

/** Calls `visit` for each node of the tree, from the top. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

export function lineOf(source: Source, node: ts.Node): number {
  return source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree)).line + 1;
}

const LEFT_OUT = ['dist', 'node_modules', 'generated'];

function listFiles(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) return LEFT_OUT.includes(entry.name) ? [] : listFiles(root, path);
    return /\.tsx?$/.test(entry.name) && !entry.name.endsWith('.d.ts') ? [path] : [];
  });
}

/**
 * Imports of every kind (`import()` names the compiled file): of values and of types, re-exports, `import()`,
 * `require()` and types by `import('…')`.
 */
function findImports(path: string, tree: ts.SourceFile): Import[] {
  const found: Import[] = [];
  walk(tree, (node) => {
    const name = specifierOf(node);
    if (name === undefined || !ts.isStringLiteralLike(name)) return;
    const target = name.text.startsWith('.') ? posix.join(posix.dirname(path), name.text.replace(/\.js$/, '')) : null;
    found.push({
      specifier: name.text,
      target,
      line: tree.getLineAndCharacterOfPosition(name.getStart(tree)).line + 1,
      isType: takesTypes(node),
    });
  });
  return found;
}

function takesTypes(node: ts.Node): boolean {
  if (ts.isImportTypeNode(node)) return true;
  if (ts.isExportDeclaration(node)) return node.isTypeOnly;
  if (!ts.isImportDeclaration(node) || node.importClause === undefined) return false;
  const { isTypeOnly, name, namedBindings } = node.importClause;
  if (isTypeOnly) return true;
  if (name !== undefined || namedBindings === undefined || !ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.every((element) => element.isTypeOnly);
}

function specifierOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isExternalModuleReference(node)) return node.expression;
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return node.argument.literal;
  if (!ts.isCallExpression(node)) return undefined;
  const isImport = node.expression.kind === ts.SyntaxKind.ImportKeyword;
  const isRequire = ts.isIdentifier(node.expression) && node.expression.text === 'require';
  return isImport || isRequire ? node.arguments[0] : undefined;
}
