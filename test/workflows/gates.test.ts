import type {
  AuditEntry,
  GateLink,
  Job,
  JobEvent,
  LinkedGate,
  Problem,
  Workflow,
  WorkflowNode,
} from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// Gates: what nobody runs, and somebody decides; by a call with a key, or by a link that is given away.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;

beforeAll(async () => {
  coordinator = await startCoordinator();
});
afterAll(() => coordinator.stop());

/** prepare -> approve -> ship, and a note that is made however it was decided */
async function make(gate: object = {}): Promise<{ type: string; made: Workflow }> {
  const type = uniqueType();
  const jobs = {
    prepare: { type: `${type}-prepare` },
    approve: { gate, dependsOn: ['prepare'] },
    ship: { type: `${type}-ship`, dependsOn: ['approve'] },
    note: { type: `${type}-note`, dependsOn: ['approve'], onDependencyFailure: 'run' },
  };
  return { type, made: expectStatus(await coordinator.api.post<Workflow>('/workflows', { name: 'order', jobs }), 201) };
}

async function run(type: string): Promise<void> {
  const claimed = await coordinator.api.claimOne({ runnerId: 'r', types: [type], waitMs: 10_000 });
  expectStatus(await coordinator.api.complete(claimed, { outcome: 'completed' }), 200);
}

async function waiting(gate: object = {}): Promise<{ type: string; id: string; gateId: string }> {
  const { type, made } = await make(gate);
  await run(`${type}-prepare`);
  await nodeIs(made.id, ({ gate: state }) => state?.waiting === true);
  return { type, id: made.id, gateId: made.jobs['approve']?.id ?? '' };
}

const node = async (id: string, key = 'approve'): Promise<WorkflowNode> => {
  const { jobs } = expectStatus(await coordinator.api.get<Workflow>(`/workflows/${id}`), 200);
  const found = jobs[key];
  if (found === undefined) throw new Error(`no ${key}`);
  return found;
};
const nodeIs = (id: string, isWanted: (found: WorkflowNode) => boolean, key = 'approve') =>
  eventually(() => node(id, key), isWanted);
const decide = (id: string, decision: object, key = 'approve') =>
  coordinator.api.post<Omit<WorkflowNode, 'status'> & Problem>(`/workflows/${id}/gates/${key}`, decision);

/** Ids of the workflows that wait for a decision. */
const toDecide = async (): Promise<string[]> => {
  const page = await coordinator.api.get<{ items: { id: string }[] }>('/workflows?gate=waiting&limit=500');
  return expectStatus(page, 200).items.map((workflow) => workflow.id);
};

test('a gate waits for its parents, then to be opened, and hands its result on', async () => {
  const { type, made } = await make();
  const { id } = made;
  expect(await node(id)).toMatchObject({ type: 'gate', status: 'blocked', gate: { waiting: false, expiresAt: null } });
  expect(await toDecide()).not.toContain(id);
  const early = await decide(id, { outcome: 'opened' });
  expect([early.status, early.body.code]).toEqual([409, 'state_conflict']);
  const told: JobEvent['name'][] = [];
  coordinator.app.context.events.on((events) =>
    told.push(...events.filter(({ jobId }) => jobId === made.jobs['approve']?.id).map(({ name }) => name)),
  );
  await run(`${type}-prepare`);
  await nodeIs(id, ({ gate }) => gate?.waiting === true);
  expect(await coordinator.api.claim({ runnerId: 'r', types: ['gate'] })).toEqual([]);
  expect(await toDecide()).toContain(id);
  const { queues } = {
    queues: expectStatus(await coordinator.api.get<{ items: { name: string }[] }>('/queues'), 200).items,
  };
  expect(queues.map(({ name }) => name)).not.toContain('');
  const opened = await decide(id, { outcome: 'opened', result: { by: 'ann' } });
  expect(expectStatus(opened, 200)).toMatchObject({ status: 'completed', dependsOn: ['prepare'] });
  expect(await toDecide()).not.toContain(id);
  expect((await decide(id, { outcome: 'opened' })).status).toBe(200);
  expect((await decide(id, { outcome: 'refused' })).body.code).toBe('state_conflict');
  const ship = await coordinator.api.claimOne({ runnerId: 'r', types: [`${type}-ship`], waitMs: 10_000 });
  expect(ship.dependencies).toMatchObject({ approve: { status: 'completed', result: { by: 'ann' } } });
  expect(told).toEqual(['job.completed']);
  const { items } = expectStatus(
    await coordinator.api.get<{ items: AuditEntry[] }>(`/audit?action=gate.opened&target=${made.jobs['approve']?.id}`),
    200,
  );
  expect(items).toHaveLength(1);
});

test('a gate that is refused counts as cancelled, and can be asked again', async () => {
  const { type, id, gateId } = await waiting({ expiresInMs: 3_600_000 });
  expectStatus(await decide(id, { outcome: 'refused' }), 200);
  expect(await coordinator.api.job(gateId)).toMatchObject({ status: 'cancelled', reason: 'refused', type: 'gate' });
  await nodeIs(id, ({ status }) => status === 'cancelled', 'ship');
  await run(`${type}-note`);
  expect(await coordinator.sql.count("jobs WHERE queue = '' AND status = 'failed'")).toBe(0);
  expectStatus(await coordinator.api.post(`/workflows/${id}/retry`), 200);
  expect((await node(id)).gate).toEqual({ waiting: true, expiresAt: expect.any(String) as string });
  expect((await node(id, 'ship')).status).toBe('blocked');
  expectStatus(await decide(id, { outcome: 'opened' }), 200);
  await run(`${type}-ship`);
});

test('a gate that nobody decides in time expires, counted from when it began to wait', async () => {
  const { type, made } = await make({ expiresInMs: 3_600_000 });
  expect((await node(made.id)).gate?.expiresAt).toBeNull();
  await run(`${type}-prepare`);
  await nodeIs(made.id, ({ gate }) => gate?.expiresAt !== null);
  const gateId = made.jobs['approve']?.id ?? '';
  await coordinator.sql.expireJob(gateId);
  expect((await decide(made.id, { outcome: 'opened' })).body.code).toBe('state_conflict');
  await coordinator.runMonitor();
  expect(await coordinator.api.job(gateId)).toMatchObject({ status: 'cancelled', reason: 'expired' });
  await nodeIs(made.id, ({ status }) => status === 'cancelled', 'ship');
});

test('a gate without parents waits at once; it is cancelled with its workflow, and is nothing that is run or changed', async () => {
  const type = uniqueType();
  const made = expectStatus(
    await coordinator.api.post<Workflow>('/workflows', {
      name: 'go',
      jobs: { go: { gate: {} }, on: { type, dependsOn: ['go'] } },
    }),
    201,
  );
  const gateId = made.jobs['go']?.id ?? '';
  expect((await node(made.id, 'go')).gate?.waiting).toBe(true);
  const { api } = coordinator;
  expect(await api.refusal('patch', `/jobs/${gateId}`, { priority: 3 })).toEqual([409, 'state_conflict']);
  expect(await api.refusal('post', `/jobs/${gateId}/run-now`)).toEqual([409, 'state_conflict']);
  const { reasons } = expectStatus(await api.get<{ reasons: { code: string }[] }>(`/jobs/${gateId}/explain`), 200);
  expect(reasons.map(({ code }) => code)).toEqual(['waits_for_decision']);
  expectStatus(await api.post(`/workflows/${made.id}/cancel`, {}), 200);
  expect((await api.job(gateId)).status).toBe('cancelled');
});

describe('a link', () => {
  const makeLink = async (id: string, more: object = {}): Promise<string> => {
    const link = expectStatus(await coordinator.api.post<GateLink>(`/workflows/${id}/gates/approve/link`, more), 201);
    return link.url.replace(/^https?:\/\/[^/]+/, '');
  };
  const nobody = () => coordinator.api.as(null);
  const page = (path: string, method = 'get') =>
    nobody().call<string>(method, path, { headers: { accept: 'text/html' } });

  test('shows the gate without a key, and decides it by POST alone', async () => {
    const { type, id } = await waiting();
    const path = await makeLink(id);
    const shown = expectStatus(await nobody().get<LinkedGate>(path), 200);
    expect(shown).toMatchObject({
      workflow: { id, name: 'order', status: 'running' },
      key: 'approve',
      state: 'waiting',
    });
    const { headers, body } = await page(path);
    expect(headers['content-type']).toContain('text/html');
    expect(String(body).match(/<form method="post" action="[^"]+outcome=(opened|refused)"/g)).toHaveLength(2);
    expect((await node(id)).status).toBe('blocked');
    expect((await nobody().call('head', path)).status).toBe(200);
    expect((await node(id)).status).toBe('blocked');
    // As a form of a page is sent.
    const { body: opened } = await nobody().call<string>('post', `${path}&outcome=opened`, {
      headers: { accept: 'text/html', 'content-type': 'application/x-www-form-urlencoded', 'content-length': '0' },
    });
    expect(String(opened)).toContain('It was opened.');
    await run(`${type}-ship`);
    const { items } = expectStatus(
      await coordinator.api.get<{ items: AuditEntry[] }>(`/audit?action=gate.opened&target=${(await node(id)).id}`),
      200,
    );
    expect(items[0]?.by).toMatchObject({ name: 'link', role: 'none' });
  });

  test('is good for what it was made for, and for nothing that was changed in it', async () => {
    const { id } = await waiting();
    const path = await makeLink(id, { outcome: 'refused' });
    const codes = async (changed: string) => (await nobody().post<Problem>(changed)).body.code;
    expect(await codes(`${path}&outcome=opened`)).toBe('forbidden');
    expect(await codes(`${path.replace('for=refused', 'for=opened')}&outcome=opened`)).toBe('not_found');
    expect(await codes(`${path.replace(/until=\d/, 'until=9')}&outcome=refused`)).toBe('not_found');
    expect(await codes(`${path.replace(/signature=./, 'signature=-')}&outcome=refused`)).toBe('not_found');
    const other = await waiting();
    const foreign = path.replace(/\/gates\/[^?]+/, `/gates/${other.gateId}`);
    expect(await codes(`${foreign}&outcome=refused`)).toBe('not_found');
    expect(await codes(path)).toBe('validation_failed');
    const refused = expectStatus(await nobody().post<LinkedGate>(`${path}&outcome=refused`), 200);
    expect(refused.state).toBe('refused');
    expect(expectStatus(await nobody().get<Job & LinkedGate>(path), 200).state).toBe('refused');
  });

  test('ends', async () => {
    const { id } = await waiting();
    const path = await makeLink(id, { expiresInMs: 1 });
    await eventually(
      async () => (await nobody().get(path)).status,
      (status) => status === 404,
    );
    expect((await nobody().post<Problem>(`${path}&outcome=opened`)).body.code).toBe('not_found');
    expect((await node(id)).status).toBe('blocked');
  });
});
