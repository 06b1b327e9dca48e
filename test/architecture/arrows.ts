import { at, type Breach } from './breach';
import type { Import, Source } from './sources';

interface Floor {
  name: string;
  height: number;
  holds: RegExp;
}

/**
 * The layers of the coordinator, from the top. A file imports from its own layer and from those below, though `http`
 * and `loops` never from each other. `settings` are above both: the environment reaches the rest as plain values,
 * through `app`. `context.ts` is the argument of every verb, so it belongs to the domain. `ground` is what every layer
 * may use.
 */
export const FLOORS: readonly Floor[] = [
  { name: 'main', height: 9, holds: /^coordinator\/(main|migrate)\.ts$/ },
  { name: 'app', height: 8, holds: /^coordinator\/(app|admin-key|tracing)\.ts$/ },
  {
    name: 'settings',
    height: 7,
    holds: /^coordinator\/(config\/|version\.ts$)/,
  },
  { name: 'http', height: 6, holds: /^coordinator\/http\// },
  { name: 'loops', height: 6, holds: /^coordinator\/loops\// },
  { name: 'dispatch', height: 5, holds: /^coordinator\/dispatch\// },
  { name: 'domain', height: 4, holds: /^coordinator\/(domain\/|context\.ts$)/ },
  { name: 'state', height: 3, holds: /^coordinator\/state\// },
  { name: 'store', height: 2, holds: /^coordinator\/store\// },
  {
    name: 'ground',
    height: 1,
    holds: /^coordinator\/(backoff|compile|errors|logger|shares|shipped|turns|v8-settings)\.ts$/,
  },
  { name: 'prisma', height: 0, holds: /^coordinator\/generated\// },
];

/** In the coordinator every file stands on a floor, and every import points down. */
export function importsPointDown(sources: Source[]): Breach[] {
  return sources
    .filter(({ path }) => path.startsWith('coordinator/'))
    .flatMap((source) => {
      const from = floorOf(source.path);
      if (from === undefined) return [at(source, 1, 'stands on no floor: give it one in test/architecture/arrows.ts')];
      return source.imports.flatMap(({ target, specifier, line }) => {
        if (target === null || !target.startsWith('coordinator/')) return [];
        const to = floorOf(`${target}.ts`);
        if (to === undefined) return [at(source, line, `imports ${specifier}, which stands on no floor`)];
        return to.name === from.name || to.height < from.height
          ? []
          : [at(source, line, `${from.name} imports ${to.name} (${specifier})`)];
      });
    });
}

/** No file imports itself, by whatever detour; types count too, because a reader follows them as well. */
export function importsFormNoCycle(sources: Source[]): Breach[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const isDone = new Set<string>();
  const breaches: Breach[] = [];
  const visit = (source: Source, trail: string[]): void => {
    if (isDone.has(source.path)) return;
    for (const one of source.imports) {
      const next = ['.ts', '.tsx', '/index.ts'].map((end) => byPath.get(`${one.target}${end}`)).find(Boolean);
      if (next === undefined) continue;
      const from = [...trail, source.path].indexOf(next.path);
      if (from >= 0)
        breaches.push(
          at(source, one.line, `closes a circle: ${[...trail.slice(from), source.path, next.path].join(' > ')}`),
        );
      else visit(next, [...trail, source.path]);
    }
    isDone.add(source.path);
  };
  for (const source of sources) visit(source, []);
  return breaches;
}

/**
 * What each package may take from the others: runners and SDK live without a coordinator, which shares only the
 * protocol.
 */
const TAKEN_FROM_OTHERS: Record<string, RegExp> = {
  'runner-sdk/': /^$/,
  'url-policy/': /^$/,
  'coordinator/': /^@baton\/(runner-sdk\/protocol|url-policy)$/,
  'dashboard/': /^@baton\/runner-sdk\/protocol$/,
  'cli/': /^@baton\/(runner-sdk(\/protocol)?|coordinator)$/,
  'runners/': /^@baton\/(runner-sdk(\/testing)?|runner-kit|url-policy)$/,
  'bridges/': /^@baton\/(runner-sdk|runner-kit)$/,
};

export function packagesKeepApart(sources: Source[]): Breach[] {
  return sources.flatMap((source) => {
    const own = packageOf(source.path);
    const allowed = TAKEN_FROM_OTHERS[source.path.slice(0, source.path.indexOf('/') + 1)];
    if (own === undefined || allowed === undefined) return [];
    return source.imports
      .filter((one) => leavesPackage(one, own, allowed))
      .map(({ specifier, line }) => at(source, line, `${own} imports ${specifier}`));
  });
}

/** The dashboard takes shapes, which cost nothing: what checks them would be loaded by every browser. */
export function dashboardTakesTypesOnly(sources: Source[]): Breach[] {
  return sources
    .filter(({ path }) => path.startsWith('dashboard/'))
    .flatMap((source) =>
      source.imports
        .filter(({ specifier, isType }) => specifier.startsWith('@baton/') && !isType)
        .map(({ specifier, line }) => at(source, line, `takes more than types from ${specifier}`)),
    );
}

/**
 * @param declared the dependencies that each package's own package.json lists, by the package's folder
 */
export function importsAreDeclared(sources: Source[], declared: Map<string, string[]>): Breach[] {
  return sources.flatMap((source) => {
    const names = declared.get(packageOf(source.path) ?? '');
    if (names === undefined) return [];
    return source.imports
      .filter(
        ({ specifier, target }) =>
          target === null && !specifier.startsWith('node:') && !names.includes(packageName(specifier)),
      )
      .map(({ specifier, line }) => at(source, line, `imports ${specifier}, which its package.json does not list`));
  });
}

/** `@scope/name/path` and `name/path` without the path. */
export function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function floorOf(path: string): Floor | undefined {
  return FLOORS.find(({ holds }) => holds.test(path));
}

function packageOf(path: string): string | undefined {
  return /^(runner-sdk|url-policy|coordinator|dashboard|cli|(?:runners|bridges)\/[^/]+)\//.exec(path)?.[1];
}

function leavesPackage({ specifier, target }: Import, own: string, allowed: RegExp): boolean {
  if (target !== null) return !target.startsWith(`${own}/`);
  return specifier.startsWith('@baton/') && !allowed.test(specifier);
}
