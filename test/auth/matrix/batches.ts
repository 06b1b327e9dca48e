import type { Batch } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../../support/api';
import { uniqueType } from '../../support/factory';
import { ALWAYS_EMPTY, type Expected, type Place, type Rows } from './row';
import type { Owner, Stage, Thing } from './stage';

const SCOPED = 'stands for itself: what it names is looked for among the jobs of its own user';
const SEEN = 'judged as in POST /jobs/bulk: a job that its key does not see is none';
const SHARED = 'a name, not an id: jobs of one queue share it on purpose';

/** A runner says for which of its jobs it makes one. */
const madeBy = (role: string): Expected => (role === 'runner' ? [400, '"validation_failed"'] : [201, '"sealed":true']);
const onlyOwn = (role: string): Expected => (role === 'user' ? [403, '"forbidden"'] : madeBy(role));
const freshType = (owner: Owner) => Promise.resolve({ type: uniqueType(), userId: owner ?? 'nobody' });
const CALLBACKS = ['onSuccess', 'onFailure', 'onComplete'];

const keys = (prefix: string): Record<string, string> => ({
  [`body ${prefix}uniqueKey`]: SCOPED,
  [`body ${prefix}concurrencyKey`]: SHARED,
  [`body ${prefix}orderKey`]: SHARED,
  ...(prefix === 'jobs.' ? { 'body jobs.dependsOn': SEEN } : {}),
});
const ofCallbacks = Object.assign({}, ...CALLBACKS.map((kind) => keys(`${kind}.`))) as Record<string, string>;

/** Each place in which a call names whose something is to be. */
function owned(path: readonly string[], more: object = {}): Place {
  return {
    at: [`body ${path.join('.')}`],
    make: (_stage, owner) => freshType(owner),
    send({ type, userId }) {
      const [first = '', second] = path;
      const named = second === undefined ? userId : first === 'jobs' ? [{ type, userId }] : { type, userId };
      return { json: { ...(type !== undefined && 'items' in more ? { type } : {}), ...more, [first]: named } };
    },
    ok: madeBy,
    missing: onlyOwn,
  };
}

/** Made in the name of a running job. */
function nested(json: () => object): Place {
  return {
    at: [],
    make: (stage, owner) => stage.job(owner, 'running'),
    send: ({ id = '', leaseToken = '' }) => ({
      headers: { 'baton-job': id, 'baton-lease': leaseToken },
      json: json(),
    }),
    ok: [201, '"sealed":true'],
    missing: (role) => (role === 'user' ? [409, '"lease_lost"'] : [404, '"not_found"']),
  };
}

interface Wanted {
  sealed?: boolean;
  jobs?: number;
  /** How its jobs have ended. */
  end?: string;
}

function ofBatch(ok: Expected, send: Place['send'] = () => ({}), more: Wanted = {}): Place {
  return { at: ['path id'], make: (stage, owner) => batch(stage, owner, more), send, ok };
}

async function batch(stage: Stage, owner: Owner, { sealed = true, end, jobs = 1 }: Wanted): Promise<Thing> {
  const type = uniqueType();
  const made = await stage
    .apiOf(owner)
    .post<Batch>('/batches', { sealed, jobs: Array(jobs).fill({ type, queue: 'mine' }) });
  const { id } = expectStatus(made, 201);
  if (end !== undefined) {
    const api = stage.api('admin');
    const error = { message: 'no', retryable: false };
    for (const job of await api.claim({ runnerId: 'r', types: [type], max: jobs }))
      await api.complete(job, { outcome: end, error });
    await stage.coordinator.app.context.followUps.batches.idle();
  }
  return { id, type, userId: owner ?? 'nobody' };
}

export const BATCH_ROWS: Rows = {
  'POST /batches': {
    places: [
      owned(['userId']),
      owned(['jobs', 'userId']),
      ...CALLBACKS.map((kind) => owned([kind, 'userId'])),
      nested(() => ({ jobs: [{ type: uniqueType(), queue: 'mine' }] })),
    ],
    harmless: { ...keys('jobs.'), ...ofCallbacks },
  },
  'POST /jobs/split': {
    places: [
      owned(['userId'], { items: [1, 2], batchSize: 1 }),
      ...CALLBACKS.map((kind) => owned([kind, 'userId'], { items: [1, 2], batchSize: 1 })),
      nested(() => ({ type: uniqueType(), queue: 'mine', items: [1, 2], batchSize: 1 })),
    ],
    harmless: { 'body concurrencyKey': SHARED, 'body orderKey': SHARED, ...ofCallbacks },
  },
  'GET /batches': {
    places: [
      {
        at: ['query userId'],
        others: ['ben'],
        make: (stage, owner) => batch(stage, owner, {}),
        send: ({ userId = '' }) => ({ query: { userId, limit: '1' } }),
        ok: [200, '"items":[{'],
        missing: ALWAYS_EMPTY,
      },
    ],
  },
  'GET /batches/:id': { places: [ofBatch([200, '"running"'])] },
  'GET /batches/:id/results': { places: [ofBatch([200, '"items":[{'])] },
  'GET /batches/:id/wait': { places: [ofBatch([200, '"running"'], () => ({ query: { waitMs: '0' } }))] },
  'POST /batches/:id/jobs': {
    places: [
      ofBatch([201, '"open"'], () => ({ json: { jobs: [{ type: uniqueType() }] } }), { sealed: false }),
      {
        at: ['body jobs.userId'],
        make: (stage, owner) => batch(stage, owner, { sealed: false }),
        send: ({ userId }) => ({ json: { jobs: [{ type: uniqueType(), userId }] } }),
        ok: [201, '"open"'],
        // Whose batch it is is judged first.
        missing: (role) => (role === 'user' ? [403, '"forbidden"'] : [400, '"validation_failed"']),
        others: [],
      },
    ],
    harmless: keys('jobs.'),
  },
  'POST /batches/:id/seal': { places: [ofBatch([200, '"sealed":true'], () => ({}), { sealed: false })] },
  'POST /batches/:id/cancel': {
    places: [ofBatch([200, '"sealed":true'], () => ({ json: { reason: 'matrix' } }))],
  },
  'POST /batches/:id/retry': {
    places: [
      ofBatch([200, '"retried":1'], () => ({ json: {} }), { end: 'failed' }),
      ofBatch([200, '"retried":2'], () => ({ json: {} }), { end: 'failed', jobs: 2 }),
      ofBatch([200, '"retried":null'], () => ({ json: { background: true } }), { end: 'failed' }),
    ],
  },
};
