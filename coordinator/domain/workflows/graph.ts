import { BatonError } from '../../errors';

export interface Node {
  key: string;
  dependsOn: readonly string[];
}

/**
 * Sorts the nodes so that each comes after all that it depends on.
 * @param known keys of existing nodes
 * @throws {BatonError} `validation_failed` that names each unknown key with its path, `dependency_cycle` with the cycle
 */
export function sorted<One extends Node>(nodes: ReadonlyMap<string, One>, known: ReadonlySet<string> = NONE): One[] {
  requireKnown(nodes, known);
  const children = new Map<string, One[]>([...nodes.keys()].map((key) => [key, []]));
  const missing = new Map<string, number>();
  for (const node of nodes.values()) {
    const parents = [...new Set(node.dependsOn)].filter((key) => nodes.has(key));
    missing.set(node.key, parents.length);
    for (const parent of parents) children.get(parent)?.push(node);
  }
  const order = [...nodes.values()].filter(({ key }) => missing.get(key) === 0);
  // The list grows during the iteration.
  for (const { key } of order) {
    for (const child of children.get(key) ?? []) {
      const left = (missing.get(child.key) ?? 0) - 1;
      missing.set(child.key, left);
      if (left === 0) order.push(child);
    }
  }
  if (order.length < nodes.size) throw cycleIn(nodes, missing);
  return order;
}

const NONE: ReadonlySet<string> = new Set();
const MOST_NAMED = 50;

function requireKnown(nodes: ReadonlyMap<string, Node>, known: ReadonlySet<string>): void {
  const errors = [...nodes.values()].flatMap(({ key, dependsOn }) =>
    dependsOn.flatMap((parent, index) =>
      nodes.has(parent) || known.has(parent)
        ? []
        : [
            {
              path: `jobs.${key}.dependsOn.${index}`,
              message: `names ${parent}, which is no key of the workflow`,
            },
          ],
    ),
  );
  const [first] = errors;
  if (first === undefined) return;
  throw new BatonError('validation_failed', `Nothing was created: ${first.path} ${first.message}.`, {
    errors: errors.slice(0, MOST_NAMED),
  });
}

/**
 * Finds a cycle: starts at a node that could not be sorted, and follows parents that could not be sorted either until
 * one repeats.
 */
function cycleIn(nodes: ReadonlyMap<string, Node>, missing: ReadonlyMap<string, number>): BatonError {
  const isOpen = (key: string): boolean => (missing.get(key) ?? 0) > 0;
  const path = new Set<string>();
  let next = [...nodes.keys()].find(isOpen);
  while (next !== undefined && !path.has(next)) {
    path.add(next);
    next = nodes.get(next)?.dependsOn.find(isOpen);
  }
  const keys = [...path];
  const found = keys.slice(keys.indexOf(next ?? '')).reverse();
  // Starts at the smallest key, so that the same cycle always gives the same message.
  const first = found.indexOf([...found].sort()[0] ?? '');
  const cycle = [...found.slice(first), ...found.slice(0, first)];
  const shown = [...cycle, cycle[0]].slice(0, MOST_NAMED).join(' -> ');
  const message = `is part of a cycle: ${shown}`;
  return new BatonError('dependency_cycle', `Nothing was created: the dependencies form a cycle, ${shown}.`, {
    errors: [{ path: `jobs.${cycle[0]}.dependsOn`, message }],
  });
}
