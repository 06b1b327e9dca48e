import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { cancelWorkflow, retryWorkflow } from '../../domain/workflows/control';
import { addJobs, createWorkflow, notFound } from '../../domain/workflows/create';
import { endWorkflows } from '../../domain/workflows/end';
import { decideGate, linkGate } from '../../domain/workflows/gates';
import type { WantedNode } from '../../domain/workflows/nodes';
import { workflowScope } from '../../domain/workflows/scope';
import { BatonError } from '../../errors';
import * as views from '../../store/views/workflows';
import { mapInTurns } from '../../turns';
import { CLIENTS, endpoint, READERS, reply } from '../core/endpoint';
import { boundedWait } from '../core/limits';
import { LEASE_HEADERS, makerOf, MAKERS, ownerIn, readHeader } from '../core/maker';
import { isUuid, readCursor, replyPage } from '../core/pages';
import { invalid } from '../core/problem';
import type { Services } from '../core/services';
import { readTrace } from '../core/trace-headers';
import { renderNode, renderWorkflow, renderWorkflowSummary } from '../render/workflows';
import { linkOf } from './gates';

const params = z.object({ id: protocol.id });
const gateParams = params.extend({ key: protocol.workflowKey });
const CREATES = { none: 'workflows and jobs themselves tell when they were created, and for whom' };

export const workflowEndpoints = [
  endpoint({
    method: 'post',
    path: '/workflows',
    scope: 'kept',
    summary: 'Create a workflow: jobs that wait for each other, all or none',
    roles: MAKERS,
    headers: { ...LEASE_HEADERS, Traceparent: 'W3C trace context, for all jobs of the workflow.' },
    body: protocol.createWorkflow,
    takes: 'list',
    audit: CREATES,
    replies: { 201: protocol.workflow, 200: protocol.workflow },
    async run({ services, caller, body, header }) {
      const { name, jobs, userId, idempotencyKey } = body;
      const maker = await makerOf(services, caller, header);
      const { id, isRepeated } = await createWorkflow(services.context, {
        caller: maker.caller,
        name,
        userId: ownerIn(maker, userId),
        nodes: await readNodes(jobs),
        idempotencyKey,
        trace: readTrace(header('traceparent'), header('tracestate')),
      });
      // A repeated call may find a workflow that was given jobs meanwhile which this key does not see.
      return reply(isRepeated ? 200 : 201, await show(services, workflowScope(caller), id));
    },
  }),
  endpoint({
    method: 'post',
    path: '/workflows/:id/jobs',
    scope: 'kept',
    summary: 'Add jobs to a workflow that runs, also from one of its jobs',
    roles: MAKERS,
    params,
    headers: {
      'Baton-Lease':
        'The lease token of a running job of the workflow. A runner must send it; it vouches for the call.',
      Traceparent: 'W3C trace context, for all of these jobs.',
    },
    body: protocol.addWorkflowJobs,
    takes: 'list',
    audit: CREATES,
    replies: { 201: protocol.workflow },
    async run({ services, caller, params: { id }, body, header }) {
      const lease = header('baton-lease');
      await addJobs(services.context, {
        id,
        caller,
        nodes: await readNodes(body.jobs),
        leaseToken: lease === undefined ? undefined : readHeader('Baton-Lease', protocol.leaseToken, lease),
        trace: readTrace(header('traceparent'), header('tracestate')),
      });
      return reply(201, await show(services, workflowScope(caller), id));
    },
  }),
  endpoint({
    method: 'get',
    path: '/workflows',
    scope: 'kept',
    summary: 'List workflows, newest first',
    roles: READERS,
    query: protocol.listWorkflowsQuery,
    replies: { 200: protocol.workflowList },
    async run({ services, caller, query: { limit, cursor, ...filter } }) {
      const before = readCursor(cursor, isUuid);
      const rows = await views.page(services.context.db, workflowScope(caller), filter, before, limit + 1);
      return replyPage(rows, limit, renderWorkflowSummary, (row) => row.id);
    },
  }),
  endpoint({
    method: 'get',
    path: '/workflows/:id',
    scope: 'kept',
    summary: 'Read a workflow with its jobs',
    roles: READERS,
    params,
    replies: { 200: protocol.workflow },
    run: async ({ services, caller, params: { id } }) => reply(200, await show(services, workflowScope(caller), id)),
  }),
  endpoint({
    method: 'get',
    path: '/workflows/:id/wait',
    scope: 'kept',
    summary: 'Read a workflow once it has ended, or the wait is over',
    roles: READERS,
    params,
    query: protocol.waitWorkflowQuery,
    replies: { 200: protocol.workflowSummary },
    async run(call) {
      const { services, caller, params: at } = call;
      const waitMs = call.isHead ? 0 : boundedWait(call.query.waitMs);
      if (waitMs > 0) call.park();
      const workflow = await services.waitingReads.readUntil(at.id, {
        waitMs,
        signal: call.signal,
        read: () => find(services, workflowScope(caller), at.id),
        hasEnded: ({ status }) => status !== 'running',
      });
      return reply(200, renderWorkflowSummary(workflow));
    },
  }),
  endpoint({
    method: 'post',
    path: '/workflows/:id/cancel',
    scope: 'kept',
    summary: 'Cancel a workflow, or one of its jobs and all that come after it',
    roles: CLIENTS,
    params,
    body: protocol.cancelWorkflow,
    audit: ['workflow.cancelled'],
    replies: { 200: protocol.workflow },
    async run({ services, caller, by, params: { id }, body }) {
      await cancelWorkflow(services.context, { caller, by }, id, body);
      return reply(200, await show(services, workflowScope(caller), id));
    },
  }),
  endpoint({
    method: 'post',
    path: '/workflows/:id/retry',
    scope: 'kept',
    summary: 'Retry what failed or was cancelled in a workflow; what completed is kept',
    roles: CLIENTS,
    params,
    audit: ['workflow.retried'],
    replies: { 200: protocol.workflow },
    async run({ services, caller, by, params: { id } }) {
      await retryWorkflow(services.context, { caller, by }, id);
      return reply(200, await show(services, workflowScope(caller), id));
    },
  }),
  endpoint({
    method: 'post',
    path: '/workflows/:id/gates/:key',
    scope: 'kept',
    summary: 'Open or refuse a gate',
    roles: CLIENTS,
    params: gateParams,
    body: protocol.decideGate,
    takes: 'job',
    audit: ['gate.opened', 'gate.refused'],
    replies: { 200: protocol.workflowNode },
    async run({ services, caller, by, params: { id, key }, body }) {
      const gate = await decideGate(services.context, { caller, by }, id, key, body);
      return reply(200, renderNode(gate, await views.keysOf(services.context.db, gate.dependsOn ?? [])));
    },
  }),
  endpoint({
    method: 'post',
    path: '/workflows/:id/gates/:key/link',
    scope: 'kept',
    summary: 'Make a link by which anybody can decide a gate, without a key',
    roles: CLIENTS,
    params: gateParams,
    body: protocol.linkGate,
    audit: ['gate.link_created'],
    replies: { 201: protocol.gateLink },
    async run(call) {
      const { services, caller, by, params: at, body } = call;
      const link = await linkGate(services.context, { caller, by }, at.id, at.key, body);
      return reply(201, { url: linkOf(call, link), expiresAt: new Date(link.expiresAtMs).toISOString() });
    },
  }),
];

/** Parses each node as the kind that it declares; reports all faults at once. */
async function readNodes(sent: Record<string, unknown>): Promise<Map<string, WantedNode>> {
  const errors: NonNullable<BatonError['errors']> = [];
  const nodes = await mapInTurns(Object.entries(sent), ([key, value]): [string, WantedNode][] => {
    const schema =
      typeof value === 'object' && value !== null && 'gate' in value ? protocol.gate : protocol.workflowJob;
    const read = schema.safeParse(value);
    if (read.success) return [[key, read.data]];
    const told = invalid('job', schema, value, read.error).errors ?? [];
    errors.push(...told.map(({ path, message }) => ({ path: ['jobs', key, path].filter(Boolean).join('.'), message })));
    return [];
  });
  const [first] = errors;
  if (first !== undefined)
    throw new BatonError('validation_failed', `Nothing was created: ${first.path} ${first.message}.`, {
      errors: errors.slice(0, MOST_ERRORS),
    });
  return new Map(nodes.flat());
}

const MOST_ERRORS = 50;

async function show({ context }: Services, scope: views.WorkflowScope, id: string): Promise<protocol.Workflow> {
  const row = await find({ context }, scope, id);
  return renderWorkflow(row, await views.nodes(context.db, id));
}

/** A workflow whose last job has just ended is ended before it is shown. */
async function find(
  { context }: Pick<Services, 'context'>,
  scope: views.WorkflowScope,
  id: string,
): Promise<views.WorkflowRow> {
  const row = await views.get(context.db, scope, id);
  if (row === null) throw notFound(id);
  const { blocked = 0, pending = 0, running = 0 } = row.counts ?? {};
  if (row.status !== 'running' || blocked + pending + running > 0) return row;
  await endWorkflows(context, [id]);
  return (await views.get(context.db, scope, id)) ?? row;
}
