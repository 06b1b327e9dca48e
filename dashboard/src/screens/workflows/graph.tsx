import { Background, Controls, type Edge, Handle, type Node, type NodeProps, Position, ReactFlow } from '@xyflow/react';
import '@xyflow/react/dist/style.css';
import type { JobStatus } from '@baton/runner-sdk/protocol';
import { useMemo } from 'react';
import { plural, visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { StatusMark, STATUSES } from '../../parts/status';
import { type Jobs, type Layer, layersOf, MOST_DRAWN, NODE, placeJobs, placeLayers } from './layout';
import classes from './workflow.module.css';

interface JobData extends Record<string, unknown> {
  name: string;
  type: string;
  status: JobStatus;
  isGate: boolean;
}
interface LayerData extends Record<string, unknown> {
  layer: Layer;
}
type JobNode = Node<JobData, 'job'>;
type LayerNode = Node<LayerData, 'layer'>;

const KINDS = { job: JobBox, layer: LayerBox };
const NO_EDGES: Edge[] = [];

/** What a click chose: one job, or one layer of a workflow that is too large to draw job by job. */
export interface Chosen {
  key: string | null;
  depth: number | null;
}

/** The jobs of a workflow and what they wait for, as they go. It is moved and zoomed by mouse, touch and keyboard. */
export function Graph({ jobs, chosen, onChoose }: { jobs: Jobs; chosen: Chosen; onChoose: (chosen: Chosen) => void }) {
  const isLarge = jobs.size > MOST_DRAWN;
  // Where the nodes stand depends on what waits for what alone, not on how the jobs are.
  const shape = [...jobs].map(([key, { dependsOn }]) => `${key}<${dependsOn.join(',')}`).join(';');
  // eslint-disable-next-line react-hooks/exhaustive-deps -- the shape tells when the places change
  const places = useMemo(() => (isLarge ? placeLayers(layersOf(jobs)) : placeJobs(jobs)), [shape, isLarge]);
  const nodes = isLarge ? layerNodes(jobs, places, chosen) : jobNodes(jobs, places, chosen);
  const edges = useMemo(
    () => (isLarge ? layerEdges(places.length) : jobEdges(jobs)),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the shape tells when the edges change
    [shape, isLarge],
  );
  return (
    <div className={classes.graph}>
      <ReactFlow<JobNode | LayerNode>
        nodes={nodes}
        edges={edges}
        nodeTypes={KINDS}
        fitView
        fitViewOptions={{ maxZoom: 1, padding: 0.15 }}
        minZoom={0.05}
        nodesDraggable={false}
        nodesConnectable={false}
        edgesFocusable={false}
        deleteKeyCode={null}
        proOptions={{ hideAttribution: true }}
        aria-label="Graph of the workflow"
        onNodeClick={(_event, node) =>
          onChoose(node.type === 'layer' ? { key: null, depth: node.data.layer.depth } : { key: node.id, depth: null })
        }
        onPaneClick={() => onChoose({ key: null, depth: null })}
      >
        <Background />
        <Controls showInteractive={false} />
      </ReactFlow>
    </div>
  );
}

function jobNodes(jobs: Jobs, places: ReturnType<typeof placeJobs>, chosen: Chosen): JobNode[] {
  return places.flatMap(({ key, x, y }): JobNode[] => {
    const job = jobs.get(key);
    if (job === undefined) return [];
    const data = { name: key, type: job.type, status: job.status, isGate: job.gate !== undefined };
    const ariaLabel = `${visible(key)}: ${job.status}`;
    return [{ id: key, type: 'job', position: { x, y }, data, selected: key === chosen.key, ariaLabel, ...NODE }];
  });
}

function layerNodes(jobs: Jobs, places: ReturnType<typeof placeLayers>, chosen: Chosen): LayerNode[] {
  const layers = layersOf(jobs);
  return places.flatMap(({ key, x, y }): LayerNode[] => {
    const layer = layers[Number(key)];
    if (layer === undefined) return [];
    const ariaLabel = `Layer ${layer.depth + 1}: ${plural(layer.keys.length, 'job')}`;
    const selected = layer.depth === chosen.depth;
    return [{ id: key, type: 'layer', position: { x, y }, data: { layer }, selected, ariaLabel, ...NODE }];
  });
}

function jobEdges(jobs: Jobs): Edge[] {
  return [...jobs].flatMap(([target, { dependsOn }]) =>
    dependsOn.map((source) => ({ id: `${source} ${target}`, source, target })),
  );
}

function layerEdges(count: number): Edge[] {
  if (count < 2) return NO_EDGES;
  return Array.from({ length: count - 1 }, (_, depth) => ({
    id: String(depth),
    source: String(depth),
    target: String(depth + 1),
  }));
}

function JobBox({ data: { name, type, status, isGate }, selected }: NodeProps<JobNode>) {
  return (
    <div className={classes.node} data-status={status} data-selected={selected || undefined}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <div className={classes.nodeName}>
        {isGate ? <Icon name="gate" size={14} /> : <StatusMark status={status} />}
        <span className="cut">{visible(name)}</span>
      </div>
      <div className={`${classes.nodeType} cut`}>{isGate ? `gate, ${status}` : visible(type)}</div>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}

function LayerBox({ data: { layer }, selected }: NodeProps<LayerNode>) {
  const told = STATUSES.filter((status) => layer.counts[status] !== undefined);
  return (
    <div className={classes.node} data-selected={selected || undefined}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <div className={classes.nodeName}>{plural(layer.keys.length, 'job')}</div>
      <div className={classes.nodeType}>
        {told.map((status) => (
          <span key={status} title={status} className={classes.tally}>
            <StatusMark status={status} size={10} /> {layer.counts[status]}
          </span>
        ))}
      </div>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}
