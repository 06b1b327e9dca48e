import { randomUUID } from 'node:crypto';
import type { GateLink, Workflow } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../../support/api';
import { uniqueType } from '../../support/factory';
import { ALWAYS_EMPTY, type Expected, type Place, type Rows } from './row';
import type { Owner, Stage, Thing } from './stage';

const SCOPED = 'stands for itself: what it names is looked for among the jobs of its own user';
const SHARED = 'a name, not an id: jobs of one queue share it on purpose';
const OWN_KEYS = 'names a job of the same call, or of the workflow that its path names';

const ofNodes = {
  'body jobs.uniqueKey': SCOPED,
  'body jobs.concurrencyKey': SHARED,
  'body jobs.orderKey': SHARED,
  'body jobs.dependsOn': OWN_KEYS,
};

const job = () => ({ a: { type: uniqueType(), queue: 'mine' } });

/**
 * A workflow of a job and a gate after it; of one that is `ready` the job has completed, of a `stopped` one it failed.
 */
async function workflow(stage: Stage, owner: Owner, state: 'new' | 'running' | 'ready' | 'stopped'): Promise<Thing> {
  const type = uniqueType();
  const queue = owner === 'ann' ? 'mine' : 'theirs';
  const name = uniqueType('workflow');
  const jobs = { a: { type, queue }, key: { gate: {}, dependsOn: ['a'], onDependencyFailure: 'run' } };
  const made = expectStatus(await stage.apiOf(owner).post<Workflow>('/workflows', { name, jobs }), 201);
  const thing = { id: made.id, gateId: made.jobs['key']?.id ?? '', key: 'key', name, userId: owner ?? 'nobody' };
  if (state === 'new') return { ...thing, leaseToken: randomUUID() };
  const api = stage.api('admin');
  const claimed = await api.claimOne({ runnerId: 'r', types: [type] });
  if (state !== 'running') {
    const error = { message: 'no', retryable: false };
    await api.complete(claimed, state === 'ready' ? { outcome: 'completed' } : { outcome: 'failed', error });
    await stage.coordinator.app.context.followUps.dependants.idle();
  }
  return { ...thing, leaseToken: claimed.leaseToken };
}

function ofWorkflow(
  ok: Place['ok'],
  send: Place['send'] = () => ({}),
  state: Parameters<typeof workflow>[2] = 'new',
  at: readonly string[] = ['path id'],
): Place {
  return { at, make: (stage, owner) => workflow(stage, owner, state), send, ok };
}

const ofGate = (ok: Expected, send: Place['send']): Place => ofWorkflow(ok, send, 'ready', ['path id', 'path key']);

/** A link is what lets its caller in, whoever that is. */
function ofLink(ok: Expected, query: Record<string, string> = {}): Place {
  return {
    at: ['path id'],
    isOwned: false,
    isCredential: true,
    async make(stage) {
      const { id, gateId = '' } = await workflow(stage, 'ann', 'ready');
      const link = expectStatus(await stage.api('user').post<GateLink>(`/workflows/${id}/gates/key/link`, {}), 201);
      const signed = new URL(link.url).searchParams;
      return { id: gateId, until: signed.get('until') ?? '', signature: signed.get('signature') ?? '' };
    },
    send: ({ until = '', signature = '' }) => ({ query: { until, signature, ...query } }),
    ok,
  };
}

export const WORKFLOW_ROWS: Rows = {
  'POST /workflows': {
    places: [
      {
        at: ['body userId'],
        make: (_stage, owner) => Promise.resolve({ userId: owner ?? 'nobody' }),
        send: ({ userId }) => ({ json: { name: 'own', userId, jobs: job() } }),
        // A runner says for which of its jobs it makes one.
        ok: (role) => (role === 'runner' ? [400, '"validation_failed"'] : [201, '"running"']),
        missing: (role) =>
          role === 'runner'
            ? [400, '"validation_failed"']
            : role === 'user'
              ? [403, '"forbidden"']
              : [201, '"running"'],
        malformed: [400, '"validation_failed"'],
      },
      {
        at: [],
        make: (stage, owner) => stage.job(owner, 'running'),
        send: ({ id = '', leaseToken = '' }) => ({
          headers: { 'baton-job': id, 'baton-lease': leaseToken },
          json: { name: 'nested', jobs: job() },
        }),
        ok: [201, '"running"'],
        missing: (role) => (role === 'user' ? [409, '"lease_lost"'] : [404, '"not_found"']),
      },
    ],
    harmless: { ...ofNodes, 'body idempotencyKey': SCOPED },
  },
  'POST /workflows/:id/jobs': {
    places: [
      ofWorkflow(
        [201, '"b"'],
        ({ leaseToken = '' }) => ({
          headers: { 'baton-lease': leaseToken },
          json: { jobs: { b: { type: uniqueType(), queue: 'mine' } } },
        }),
        'running',
      ),
    ],
    harmless: ofNodes,
  },
  'GET /workflows': {
    places: [
      {
        at: ['query userId'],
        others: ['ben'],
        make: (stage, owner) => workflow(stage, owner, 'new'),
        send: ({ userId = '' }) => ({ query: { userId, limit: '1' } }),
        ok: [200, '"items":[{'],
        missing: ALWAYS_EMPTY,
      },
    ],
  },
  'GET /workflows/:id': { places: [ofWorkflow([200, '"running"'])] },
  'GET /workflows/:id/wait': { places: [ofWorkflow([200, '"running"'], () => ({ query: { waitMs: '0' } }))] },
  'POST /workflows/:id/cancel': {
    places: [ofWorkflow([200, '"cancelled"'], () => ({ json: { reason: 'matrix' } }))],
    harmless: { 'body key': OWN_KEYS },
  },
  'POST /workflows/:id/retry': { places: [ofWorkflow([200, '"running"'], () => ({}), 'stopped')] },
  'POST /workflows/:id/gates/:key': {
    places: [
      ofGate([200, '"completed"'], () => ({ json: { outcome: 'opened' } })),
      ofGate([200, '"cancelled"'], () => ({ json: { outcome: 'refused' } })),
    ],
  },
  'POST /workflows/:id/gates/:key/link': { places: [ofGate([201, '"url"'], () => ({ json: {} }))] },
  'GET /gates/:id': { places: [ofLink([200, '"waiting"'])] },
  'POST /gates/:id': {
    places: [ofLink([200, '"opened"'], { outcome: 'opened' }), ofLink([200, '"refused"'], { outcome: 'refused' })],
  },
};
