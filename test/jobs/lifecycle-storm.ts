import type { Batch, ClaimedJob, Job, Workflow } from '@baton/runner-sdk/protocol';
import fc from 'fast-check';
import type { Cluster, TestCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

const WORKERS = 8;
const STEPS = 120;

const NOTHING = '00000000-0000-7000-8000-000000000000';

type Step = (coordinator: TestCoordinator, cluster: Cluster, at: number) => Promise<unknown>;

/**
 * Workers that do random things to the same few jobs, through all coordinators at once. Their answers do not matter
 * here.
 */
export async function storm(cluster: Cluster, seed: number): Promise<void> {
  const type = uniqueType('storm');
  const held: Pick<ClaimedJob, 'id' | 'leaseToken'>[] = [];
  const ids: string[] = [];
  const steps = stepsOf(type, ids, held);
  const plans = fc.sample(
    fc.array(fc.tuple(fc.nat({ max: steps.length - 1 }), fc.nat({ max: 1000 })), {
      minLength: STEPS,
      maxLength: STEPS,
    }),
    { numRuns: WORKERS, seed },
  );
  await Promise.all(
    plans.map(async (plan, worker) => {
      const coordinator = cluster.coordinators[worker % cluster.coordinators.length];
      for (const [step, at] of plan) if (coordinator !== undefined) await steps[step]?.(coordinator, cluster, at);
    }),
  );
}

function stepsOf(type: string, ids: string[], held: Pick<ClaimedJob, 'id' | 'leaseToken'>[]): Step[] {
  const idAt = (at: number) => ids[at % Math.max(1, ids.length)] ?? NOTHING;
  const heldAt = (at: number) =>
    held[held.length - 1 - (at % Math.max(1, Math.min(8, held.length)))] ?? {
      id: idAt(at),
      leaseToken: '00000000-0000-4000-8000-000000000000',
    };
  const create: Step = async ({ api }) => {
    const { body } = await api.post<Job>('/jobs', {
      type,
      maxAttempts: 3,
      retry: { strategy: 'fixed', baseMs: 0, jitter: 0 },
    });
    ids.push(body.id);
  };
  /** Some of the parents may be gone; then it is refused. */
  const createChild: Step = async ({ api }, _cluster, at) => {
    const dependsOn = [...new Set([idAt(at), idAt(at * 7)])];
    const { status, body } = await api.post<Job>('/jobs', {
      type,
      maxAttempts: 2,
      retry: { strategy: 'fixed', baseMs: 0, jitter: 0 },
      dependsOn,
      onDependencyFailure: at % 2 === 0 ? 'run' : 'cancel',
    });
    if (status === 201) ids.push(body.id);
  };
  const workflows: string[] = [];
  const batches: string[] = [];
  const createGated: Step = async ({ api }, _cluster, at) => {
    const { status, body } = await api.post<Workflow>('/workflows', {
      name: type,
      jobs: {
        approve: { gate: {} },
        job: { type, dependsOn: ['approve'], onDependencyFailure: at % 2 === 0 ? 'run' : 'cancel' },
      },
    });
    if (status !== 201) return;
    workflows.push(body.id);
    ids.push(...Object.values(body.jobs).map(({ id }) => id));
  };
  const decide: Step = ({ api }, _cluster, at) =>
    api.post(`/workflows/${workflows[at % workflows.length] ?? NOTHING}/gates/approve`, {
      outcome: at % 3 === 0 ? 'refused' : 'opened',
    });
  const suspend: Step = async ({ api }, _cluster, at) => {
    const { status, body } = await api.post<Batch>('/batches', { sealed: false, jobs: [] });
    if (status === 201) batches.push(body.id);
    const { id, leaseToken } = heldAt(at);
    await api.post(`/jobs/${id}/release`, { leaseToken, until: { batchId: body.id } });
  };
  const endBatch: Step = ({ api }, _cluster, at) =>
    api.post(`/batches/${batches[at % batches.length] ?? NOTHING}/${at % 2 === 0 ? 'seal' : 'cancel'}`, {});
  const claim: Step = async ({ api }, _cluster, at) => {
    held.push(...(await api.claim({ runnerId: `runner-${at % 3}`, types: [type], max: 1 + (at % 3) })));
  };
  return [
    create,
    create,
    createChild,
    createChild,
    createGated,
    decide,
    decide,
    suspend,
    endBatch,
    claim,
    claim,
    claim,
    ({ api }, _cluster, at) => api.complete(heldAt(at)),
    ({ api }, _cluster, at) =>
      api.complete(heldAt(at), { outcome: 'failed', error: { message: 'storm', retryable: at % 2 === 0 } }),
    ({ api }, _cluster, at) => api.post(`/jobs/${heldAt(at).id}/release`, { leaseToken: heldAt(at).leaseToken }),
    ({ api }, _cluster, at) => api.post(`/jobs/${idAt(at)}/cancel`),
    ({ api }, _cluster, at) => api.post(`/jobs/${idAt(at)}/retry`),
    ({ api }, _cluster, at) => api.patch(`/jobs/${idAt(at)}`, { priority: (at % 3) - 1 }),
    ({ api }, _cluster, at) => api.delete(`/jobs/${idAt(at)}?purge=true`),
    async ({ runMonitor }, { sql }, at) => {
      await sql.expireLease(idAt(at));
      await runMonitor();
    },
    async ({ runMonitor }, { sql }, at) => {
      await sql.query("UPDATE jobs SET expires_at = now() WHERE id = $1 AND status = 'pending'", [idAt(at)]);
      await runMonitor();
    },
  ];
}
