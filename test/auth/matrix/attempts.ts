import { type Expected, type Place, plain, type Rows } from './row';

const ITSELF = 'names the caller itself';
const AWAITED = "is waited for only if it is of the job's own user; of anything else nothing is told";
const LOST = 'repeats the own claim whose answer was lost; what the key may not claim is not among it';

/** What a runner says of the one job that its path names, with the token of its lease. */
function ofLease(body: object, ok: Expected): Place {
  return {
    at: ['path id', 'body leaseToken'],
    make: (stage, owner) => stage.job(owner, 'running'),
    send: ({ leaseToken }) => ({ json: { leaseToken, ...body } }),
    ok,
  };
}

export const ATTEMPT_ROWS: Rows = {
  'POST /jobs/claim': {
    places: [
      {
        at: [],
        make: (stage, owner) => stage.job(owner, 'pending'),
        send: ({ type, queue }) => ({ json: { runnerId: 'matrix', types: [type], queues: [queue] } }),
        ok: [200, '"leaseToken"'],
        missing: (role) => (role === 'runner' ? [403, '"forbidden"'] : [200, '"jobs":[]']),
      },
      {
        // Without naming a queue, a limited key means its own.
        at: [],
        make: (stage, owner) => stage.job(owner, 'pending'),
        send: ({ type }) => ({ json: { runnerId: 'matrix', types: [type] } }),
        ok: [200, '"leaseToken"'],
        missing: [200, '"jobs":[]'],
      },
    ],
    harmless: { 'body runnerId': ITSELF, 'body claimId': LOST },
  },
  'POST /jobs/complete': {
    places: [
      {
        at: ['body completions.jobId', 'body completions.leaseToken'],
        make: (stage, owner) => stage.job(owner, 'running'),
        send: ({ id, leaseToken }) => ({ json: { completions: [{ jobId: id, leaseToken, outcome: 'completed' }] } }),
        ok: [200, '"status":"completed"'],
        missing: [200, '"not_found"'],
        malformed: [200, '"validation_failed"'],
      },
      {
        at: [],
        make: (stage, owner) => stage.job(owner, 'pending'),
        send: ({ type }) => ({ json: { completions: [], claim: { runnerId: 'matrix', types: [type] } } }),
        ok: [200, '"leaseToken"'],
        missing: [200, '"jobs":[]'],
      },
    ],
    harmless: { 'body claim.runnerId': ITSELF, 'body claim.claimId': LOST },
  },
  'POST /jobs/heartbeat': {
    places: [
      {
        at: ['body jobs.jobId', 'body jobs.leaseToken'],
        make: (stage, owner) => stage.job(owner, 'running'),
        send: ({ id, leaseToken }) => ({
          json: { runnerId: 'matrix', jobs: [{ jobId: id, leaseToken, progress: { percent: 50 } }] },
        }),
        ok: [200, '"leaseExpiresAt"'],
        missing: [200, '"not_found"'],
        malformed: [200, '"validation_failed"'],
      },
    ],
    harmless: { 'body runnerId': ITSELF },
  },
  'POST /jobs/:id/heartbeat': { places: [ofLease({ progress: { percent: 50 } }, [200, '"leaseExpiresAt"'])] },
  'POST /jobs/:id/complete': {
    places: [
      ofLease({ outcome: 'completed', result: 1 }, [200, '"completed"']),
      ofLease({ outcome: 'failed', error: { message: 'no' } }, [200, '"pending"']),
    ],
  },
  'POST /jobs/:id/release': {
    places: [ofLease({ delayMs: 0 }, [200, '"pending"'])],
    harmless: { 'body until.workflowId': AWAITED, 'body until.batchId': AWAITED },
  },
  'GET /jobs/:id/dependencies/:parentId/result': {
    places: [
      {
        at: ['path id', 'path parentId'],
        async make(stage, owner) {
          const { id: parentId = '' } = await stage.job(owner, 'completed');
          return { ...(await stage.job(owner, 'running', { dependsOn: [parentId] })), parentId };
        },
        send: ({ leaseToken = '' }) => ({ headers: { 'baton-lease': leaseToken } }),
        ok: [200, '"made":true'],
      },
    ],
  },
  'GET /healthz': { places: [plain([200, '"ok"'])] },
  'GET /readyz': { places: [plain([200, '"ready"'])] },
  'GET /system': { places: [plain([200, '"coordinators":[{'])] },
  'GET /health': { places: [plain([200, '"monitor"'])] },
  'GET /metrics': { places: [plain([200, 'baton_'])] },
};
