import { jobStatus, type Workflow, type WorkflowNode, type WorkflowSummary } from '@baton/runner-sdk/protocol';
import type { NodeRow, WorkflowRow } from '../../store/views/workflows';
import { time } from './time';

export function renderWorkflowSummary(row: WorkflowRow): WorkflowSummary {
  const { id, name, userId, status, createdAt, finishedAt } = row;
  return {
    ...{ id, name, userId, status },
    counts: countsOf(row),
    createdAt: createdAt.toISOString(),
    finishedAt: time(finishedAt),
  };
}

export function renderWorkflow(row: WorkflowRow, nodes: NodeRow[]): Workflow {
  const keyOf = new Map(nodes.map(({ id, key }) => [id, key]));
  // Built from entries, so that a user's key such as `__proto__` is a plain member.
  const jobs = Object.fromEntries(nodes.map((node) => [node.key, renderNode(node, keyOf)]));
  return { ...renderWorkflowSummary(row), jobs };
}

export function renderNode(node: NodeRow, keyOf: ReadonlyMap<string, string>): WorkflowNode {
  const { id, type, status, dependsOn, isGate } = node;
  const parents = (dependsOn ?? []).flatMap((parent) => keyOf.get(parent) ?? []);
  return { id, type, status, dependsOn: parents, ...(isGate ? { gate: renderGate(node) } : {}) };
}

function renderGate({ isReady, expiresAt }: NodeRow): WorkflowNode['gate'] {
  return { waiting: isReady, expiresAt: time(expiresAt) };
}

function countsOf({ counts }: WorkflowRow): WorkflowSummary['counts'] {
  const each = jobStatus.options.map((status): [string, number] => [status, Number(counts?.[status] ?? 0)]);
  const total = each.reduce((sum, [, count]) => sum + count, 0);
  return { total, ...Object.fromEntries(each) } as WorkflowSummary['counts'];
}
