import { graphlib, layout } from '@dagrejs/dagre';
import type { JobStatus, WorkflowNode } from '@baton/runner-sdk/protocol';

/** The jobs and gates of a workflow by their keys. */
export type Jobs = ReadonlyMap<string, WorkflowNode>;

/** Of a larger workflow the layers are drawn, not the jobs. */
export const MOST_DRAWN = 300;
export const NODE = { width: 190, height: 54 };
const GAP = { ranksep: 56, nodesep: 18 };
const LAYER_GAP = 56;

export interface Placed {
  key: string;
  x: number;
  y: number;
}

/** A set of jobs that stand equally far from the beginning, by the longest way. */
export interface Layer {
  depth: number;
  keys: string[];
  counts: Partial<Record<JobStatus, number>>;
}

/** Where each job stands, from left to right; those that a job waits for stand before it. */
export function placeJobs(jobs: Jobs): Placed[] {
  const graph = new graphlib.Graph();
  graph.setGraph({ rankdir: 'LR', ...GAP });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const key of jobs.keys()) graph.setNode(key, { ...NODE });
  for (const [key, { dependsOn }] of jobs) for (const parent of dependsOn) graph.setEdge(parent, key);
  layout(graph);
  return [...jobs.keys()].map((key) => {
    const { x, y } = graph.node(key) as { x: number; y: number };
    return { key, x: x - NODE.width / 2, y: y - NODE.height / 2 };
  });
}

export function placeLayers(layers: readonly Layer[]): Placed[] {
  return layers.map(({ depth }) => ({ key: String(depth), x: depth * (NODE.width + LAYER_GAP), y: 0 }));
}

export function layersOf(jobs: Jobs): Layer[] {
  const depths = depthsOf(jobs);
  const layers: Layer[] = [];
  for (const [key, { status }] of jobs) {
    const depth = depths.get(key) ?? 0;
    const layer = (layers[depth] ??= { depth, keys: [], counts: {} });
    layer.keys.push(key);
    layer.counts[status] = (layer.counts[status] ?? 0) + 1;
  }
  return layers.filter((layer) => layer !== undefined);
}

/** How many jobs stand before each on its longest way. The API takes no cycles. */
function depthsOf(jobs: Jobs): Map<string, number> {
  const children = new Map<string, string[]>();
  const open = new Map<string, number>();
  for (const [key, { dependsOn }] of jobs) {
    open.set(key, dependsOn.length);
    for (const parent of dependsOn) {
      const known = children.get(parent);
      if (known === undefined) children.set(parent, [key]);
      else known.push(key);
    }
  }
  const depths = new Map<string, number>();
  const ready = [...open].filter(([, count]) => count === 0).map(([key]) => key);
  for (const key of ready) depths.set(key, 0);
  for (let at = 0; at < ready.length; at += 1) {
    const key = ready[at] ?? '';
    const depth = (depths.get(key) ?? 0) + 1;
    for (const child of children.get(key) ?? []) {
      depths.set(child, Math.max(depths.get(child) ?? 0, depth));
      const left = (open.get(child) ?? 0) - 1;
      open.set(child, left);
      if (left === 0) ready.push(child);
    }
  }
  return depths;
}
