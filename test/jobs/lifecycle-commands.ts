import type { Batch, ClaimedJob, Job, Workflow } from '@baton/runner-sdk/protocol';
import fc from 'fast-check';
import { type Answer, expectStatus } from '../support/api';
import type { TestCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import type { TestSql } from '../support/sql';
import {
  clientVerdict,
  failModel,
  follow,
  GATE_KEY,
  holderOf,
  isCurrent,
  isOneOf,
  checkParents,
  type Model,
  type ModelAttempt,
  type ModelJob,
  type ModelNode,
  type ModelParent,
  move,
  staleVerdict,
  type Verdict,
} from './lifecycle-model';
import { requireEqual } from './lifecycle-check';

export interface Real {
  coordinator: TestCoordinator & { sql: TestSql };
  edges: Set<string>;
}

type Command = fc.AsyncCommand<Model, Real>;
type Run = (model: Model, real: Real) => Promise<void>;

/** Every command ends with a look at all rows. */
function command(name: string, check: (model: Model) => boolean, run: Run): Command {
  return {
    check,
    toString: () => name,
    async run(model, real) {
      await run(model, real);
      // What follows the end of a job goes on after the answer.
      const { batches, dependants, workflows } = real.coordinator.app.context.followUps;
      await batches.idle();
      await workflows.idle();
      await dependants.idle();
      await requireEqual(model, real.coordinator.sql);
    },
  };
}

function onJob(
  name: string,
  at: number,
  run: (job: ModelJob, model: Model, real: Real) => Promise<void>,
  check: (job: ModelJob) => boolean = () => true,
): Command {
  const pick = (model: Model): ModelJob | undefined => model.jobs[at % model.jobs.length];
  return command(
    `${name}(${at})`,
    (model) => {
      const job = pick(model);
      return job !== undefined && check(job);
    },
    async (model, real) => {
      const job = pick(model);
      if (job !== undefined) await run(job, model, real);
    },
  );
}

/** Mostly the latest attempt, at times an older one. */
function onAttempt(
  name: string,
  at: number,
  back: number,
  run: (job: ModelJob, attempt: ModelAttempt, real: Real, model: Model) => Promise<void>,
): Command {
  return onJob(
    `${name}, attempt -${back}`,
    at,
    async (job, model, real) => {
      const attempt = job.attempts.at(-1 - (back % job.attempts.length));
      if (attempt !== undefined) await run(job, attempt, real, model);
    },
    (job) => job.attempts.length > 0,
  );
}

function expectVerdict(answer: Answer, verdict: Verdict): void {
  const code = (answer.body as { code?: string } | null)?.code;
  expect(code === undefined ? [answer.status] : [answer.status, code]).toEqual(verdict);
}

const create = (
  priority: number,
  isDelayed: boolean,
  isSlow: boolean,
  maxAttempts: number,
  uniqueKey: string | null,
  parentsAt: number[] = [],
  isTolerated = false,
): Command =>
  command(
    `create(${priority}, delayed ${isDelayed}, slow ${isSlow}, ${maxAttempts}, ${uniqueKey}, after ${parentsAt.join(' ')}, tolerant ${isTolerated})`,
    (model) => model.jobs.length < 6 && (parentsAt.length === 0 || model.jobs.length > 0),
    async (model, { coordinator, edges }) => {
      const parents = [...new Set(parentsAt.map((at) => model.jobs[at % model.jobs.length]))].filter(
        (parent) => parent !== undefined,
      );
      const answer = await coordinator.api.post<Job>('/jobs', {
        type: model.type,
        priority,
        maxAttempts,
        retry: { strategy: 'fixed', baseMs: isSlow ? 3_600_000 : 0, jitter: 0 },
        ...(isDelayed ? { delayMs: 3_600_000 } : {}),
        ...(uniqueKey === null ? {} : { uniqueKey }),
        ...(parents.length === 0
          ? {}
          : { dependsOn: parents.map(({ id }) => id), onDependencyFailure: isTolerated ? 'run' : 'cancel' }),
      });
      const holder = holderOf(model, uniqueKey);
      if (holder === undefined && parents.some(({ status }) => status === null))
        return expectVerdict(answer, [400, 'validation_failed']);
      expect(answer.status).toBe(holder === undefined ? 201 : 200);
      if (holder !== undefined) return expect(answer.body.id).toBe(holder.id);
      const job: ModelJob = {
        id: answer.body.id,
        status: null,
        priority,
        isDue: !isDelayed,
        attempt: 0,
        failures: 0,
        maxAttempts,
        isSlow,
        uniqueKey,
        reason: null,
        result: null,
        error: null,
        checkpoint: null,
        attempts: [],
        parents: parents.map((parent) => ({
          job: parent,
          outcome: outcomeOf(parent, isTolerated),
          isTolerated,
          isWaived: false,
        })),
      };
      move(edges, job, 'create', job.parents.some(({ outcome }) => outcome === null) ? 'blocked' : 'pending');
      expect(answer.body.status).toBe(job.status);
      model.jobs.push(job);
      // Of one that had ended otherwise than it must before the child was there, it hears afterwards.
      for (const parent of job.parents)
        if (isOneOf(parent.job.status, 'failed', 'cancelled')) parent.outcome ??= parent.job.status as 'failed';
      checkParents(edges, job, model.jobs);
    },
  );

function outcomeOf({ status }: ModelNode, isTolerated: boolean): ModelParent['outcome'] {
  if (status === 'completed') return status;
  return isTolerated && (status === 'failed' || status === 'cancelled') ? status : null;
}

const claim = (runnerId: string, claimId: string | null, max: number): Command =>
  command(
    `claim(${runnerId}, ${claimId}, ${max})`,
    () => true,
    async (model, { coordinator, edges }) => {
      const key = claimId === null ? null : `${claimId} of ${runnerId} for ${model.type}`;
      // One that has its turn keeps it when it is told to run now; the others get theirs, by runAt, at the latest with
      // the claim.
      const order = await coordinator.sql.query<{ id: string }>(
        'SELECT id FROM jobs WHERE type = $1 ORDER BY priority DESC, COALESCE(position, run_at), id',
        [model.type],
      );
      const claimed = await coordinator.api.claim({
        runnerId,
        max,
        types: [model.type],
        ...(key === null ? {} : { claimId: key }),
      });
      const repeated = model.jobs.filter(
        (job) => key !== null && job.status === 'running' && job.attempts.at(-1)?.claimId === key,
      );
      if (repeated.length > 0) {
        const tokens = (jobs: { id: string; token: string }[]) => jobs.map(({ id, token }) => `${id} ${token}`).sort();
        expect(tokens(claimed.map(({ id, leaseToken: token }) => ({ id, token })))).toEqual(
          tokens(repeated.map((job) => ({ id: job.id, token: job.attempts.at(-1)?.token ?? '' }))),
        );
        return;
      }
      const wanted = order
        .flatMap(({ id }) => model.jobs.filter((job) => job.id === id && job.status === 'pending' && job.isDue))
        .slice(0, max);
      expect(claimed.map((job) => job.id).sort()).toEqual(wanted.map((job) => job.id).sort());
      for (const job of wanted)
        start(
          edges,
          job,
          claimed.find((one) => one.id === job.id),
          key,
        );
    },
  );

/** Created while a claim waits, and nothing that it could have instead. */
const createForWaiting = (
  runnerId: string,
  claimId: string | null,
  maxAttempts: number,
  uniqueKey: string | null,
): Command =>
  command(
    `createForWaiting(${runnerId}, ${claimId}, ${maxAttempts}, ${uniqueKey})`,
    (model) =>
      model.jobs.length < 6 &&
      holderOf(model, uniqueKey) === undefined &&
      !model.jobs.some((job) => (job.status === 'pending' && job.isDue) || job.status === 'running'),
    async (model, { coordinator, edges }) => {
      const key = claimId === null ? null : `${claimId} of ${runnerId} for ${model.type}`;
      const claiming = coordinator.api.claim({
        runnerId,
        types: [model.type],
        waitMs: 20_000,
        ...(key === null ? {} : { claimId: key }),
      });
      await eventually(
        () => coordinator.app.services.dispatcher.size,
        (waiting) => waiting === 1,
      );
      const { id } = await coordinator.api.create({
        type: model.type,
        maxAttempts,
        retry: { strategy: 'fixed', baseMs: 0, jitter: 0 },
        ...(uniqueKey === null ? {} : { uniqueKey }),
      });
      const job: ModelJob = {
        id,
        status: null,
        priority: 0,
        isDue: true,
        attempt: 0,
        failures: 0,
        maxAttempts,
        isSlow: false,
        uniqueKey,
        reason: null,
        result: null,
        error: null,
        checkpoint: null,
        attempts: [],
        parents: [],
      };
      start(
        edges,
        job,
        (await claiming).find((one) => one.id === id),
        key,
        'create',
      );
      model.jobs.push(job);
    },
  );

function start(
  edges: Set<string>,
  job: ModelJob,
  claimed: ClaimedJob | undefined,
  claimId: string | null,
  verb: 'claim' | 'create' = 'claim',
): void {
  if (claimed === undefined) throw new Error('not claimed');
  move(edges, job, verb, 'running', { attempt: job.attempt + 1 });
  expect([claimed.attempt, claimed.checkpoint]).toEqual([job.attempt, job.checkpoint]);
  expect(claimed.dependencies).toEqual(
    Object.fromEntries(
      job.parents.map(({ job: { id, status: now, result }, key = id, outcome }) => [
        key,
        { id, status: outcome, result: outcome === 'completed' && now === 'completed' ? result : null },
      ]),
    ),
  );
  job.attempts.push({
    attempt: job.attempt,
    token: claimed.leaseToken,
    claimId,
    outcome: 'running',
    report: null,
    reply: null,
    late: null,
  });
}

const heartbeat = (at: number, back: number, checkpoint: number | null): Command =>
  onAttempt(`heartbeat ${checkpoint}`, at, back, async (job, attempt, { coordinator }) => {
    const isHeld = isCurrent(job, attempt);
    const answer = await coordinator.api.post(`/jobs/${job.id}/heartbeat`, {
      leaseToken: attempt.token,
      ...(checkpoint === null ? {} : { checkpoint }),
    });
    expectVerdict(answer, isHeld ? [200] : staleVerdict(job, attempt, 'heartbeat', null));
    if (isHeld && checkpoint !== null) job.checkpoint = checkpoint;
  });

const complete = (at: number, back: number, result: string): Command =>
  onAttempt(`complete ${result}`, at, back, async (job, attempt, { coordinator, edges }, model) => {
    const isHeld = isCurrent(job, attempt);
    const report = `completed ${result}`;
    const answer = await coordinator.api.complete(
      { id: job.id, leaseToken: attempt.token },
      { outcome: 'completed', result },
    );
    const verdict = isHeld ? ([200] as Verdict) : staleVerdict(job, attempt, 'complete', report);
    expectVerdict(answer, verdict);
    if (isHeld) {
      move(edges, job, 'complete', 'completed', { result, error: null, checkpoint: null }, model.jobs);
      Object.assign(attempt, { outcome: 'completed', report, reply: { status: 'completed' } });
    } else keepLate(job, attempt, verdict, 'completed');
    if (answer.status === 200)
      expect(answer.body).toMatchObject({ status: attempt.reply?.status, attempt: attempt.attempt });
  });

const fail = (at: number, back: number, message: string, retryable: boolean): Command =>
  onAttempt(`fail ${message} ${retryable}`, at, back, async (job, attempt, { coordinator, edges }, model) => {
    const isHeld = isCurrent(job, attempt);
    const report = `failed ${message} ${retryable}`;
    const answer = await coordinator.api.complete(
      { id: job.id, leaseToken: attempt.token },
      { outcome: 'failed', error: { message, retryable } },
    );
    const verdict = isHeld ? ([200] as Verdict) : staleVerdict(job, attempt, 'complete', report);
    expectVerdict(answer, verdict);
    if (isHeld) failModel(edges, job, 'failed', message, retryable, report, model.jobs);
    else keepLate(job, attempt, verdict, 'failed');
    if (answer.status === 200)
      expect(answer.body).toMatchObject({ status: attempt.reply?.status, attempt: attempt.attempt });
  });

/** The first late report of an attempt that was taken away is kept. */
function keepLate(
  job: ModelJob,
  attempt: ModelAttempt,
  [status, code]: Verdict | [number, string],
  outcome: string,
): void {
  if (
    status === 409 &&
    code !== 'state_conflict' &&
    isOneOf(job.status, 'blocked', 'pending', 'running', 'completed', 'failed', 'cancelled')
  ) {
    if (['timed_out', 'cancelled', 'released'].includes(attempt.outcome)) attempt.late ??= outcome;
  }
}

const release = (at: number, back: number, isDelayed: boolean): Command =>
  onAttempt(`release, delayed ${isDelayed}`, at, back, async (job, attempt, { coordinator, edges }) => {
    const isHeld = isCurrent(job, attempt);
    const answer = await coordinator.api.post(`/jobs/${job.id}/release`, {
      leaseToken: attempt.token,
      ...(isDelayed ? { delayMs: 3_600_000 } : {}),
    });
    expectVerdict(answer, isHeld ? [200] : staleVerdict(job, attempt, 'release', null));
    if (!isHeld) return;
    move(edges, job, 'release', 'pending', { isDue: !isDelayed });
    attempt.outcome = 'released';
  });

/** Given back until a new batch has ended. */
const suspend = (at: number, back: number): Command =>
  onAttempt('suspend', at, back, async (job, attempt, { coordinator, edges }, model) => {
    const { id } = expectStatus(await coordinator.api.post<Batch>('/batches', { sealed: false, jobs: [] }), 201);
    const isHeld = isCurrent(job, attempt);
    const answer = await coordinator.api.post(`/jobs/${job.id}/release`, {
      leaseToken: attempt.token,
      until: { batchId: id },
    });
    expectVerdict(answer, isHeld ? [200] : staleVerdict(job, attempt, 'release', null));
    if (!isHeld) return;
    const batch: ModelNode = { id, status: 'running', reason: null, result: null };
    model.batches.push(batch);
    job.parents.push({ job: batch, outcome: null, isTolerated: true, isWaived: false });
    move(edges, job, 'release', 'blocked', { isDue: true });
    attempt.outcome = 'released';
  });

const endBatch = (at: number, to: 'completed' | 'cancelled'): Command =>
  command(
    `endBatch(${at}, ${to})`,
    ({ batches }) => batches.some(({ status }) => status === 'running'),
    async (model, { coordinator, edges }) => {
      const open = model.batches.filter(({ status }) => status === 'running');
      const batch = open[at % open.length];
      if (batch === undefined) return;
      const path = `/batches/${batch.id}/${to === 'completed' ? 'seal' : 'cancel'}`;
      expectStatus(await coordinator.api.post(path, to === 'completed' ? undefined : {}), 200);
      await coordinator.app.context.followUps.batches.idle();
      batch.status = to;
      follow(edges, batch, to, model.jobs);
    },
  );

/** A workflow of a gate, and a job after it. */
const createGated = (isTolerated: boolean): Command =>
  command(
    `createGated(${isTolerated})`,
    (model) => model.jobs.length < 6,
    async (model, { coordinator, edges }) => {
      const { type } = model;
      const made = expectStatus(
        await coordinator.api.post<Workflow>('/workflows', {
          name: type,
          jobs: {
            [GATE_KEY]: { gate: {} },
            job: {
              type,
              maxAttempts: 1,
              dependsOn: [GATE_KEY],
              onDependencyFailure: isTolerated ? 'run' : 'cancel',
            },
          },
        }),
        201,
      );
      const node = { id: made.jobs[GATE_KEY]?.id ?? '', status: 'blocked' as const, reason: null, result: null };
      model.gates.push({ workflowId: made.id, node });
      const job: ModelJob = {
        ...{ id: made.jobs['job']?.id ?? '', status: null, priority: 0, isDue: true, attempt: 0, failures: 0 },
        ...{
          maxAttempts: 1,
          isSlow: false,
          uniqueKey: null,
          reason: null,
          result: null,
          error: null,
          checkpoint: null,
        },
        attempts: [],
        parents: [{ job: node, key: GATE_KEY, outcome: null, isTolerated, isWaived: false }],
      };
      move(edges, job, 'create', 'blocked');
      model.jobs.push(job);
    },
  );

const decide = (at: number, outcome: 'opened' | 'refused'): Command =>
  command(
    `decide(${at}, ${outcome})`,
    ({ gates }) => gates.length > 0,
    async (model, { coordinator, edges }) => {
      const { workflowId, node } = model.gates[at % model.gates.length] ?? model.gates[0] ?? missing();
      const to = outcome === 'opened' ? 'completed' : 'cancelled';
      const answer = await coordinator.api.post(`/workflows/${workflowId}/gates/${GATE_KEY}`, {
        outcome,
        ...(outcome === 'opened' ? { result: 'yes' } : {}),
      });
      expect(answer.status).toBe(node.status === 'blocked' || node.status === to ? 200 : 409);
      if (node.status !== 'blocked') return;
      const changes = outcome === 'opened' ? { result: 'yes' } : { reason: 'refused' };
      move(edges, node, 'decide', to, changes, model.jobs);
    },
  );

function missing(): never {
  throw new Error('there is no gate');
}

const cancel = (at: number, reason: string): Command =>
  onJob(`cancel ${reason}`, at, async (job, model, { coordinator, edges }) => {
    const verdict = clientVerdict(job, 'blocked', 'pending', 'running');
    expectVerdict(await coordinator.api.post(`/jobs/${job.id}/cancel`, { reason }), verdict);
    if (verdict[0] !== 200) return;
    const attempt = job.attempts.at(-1);
    if (job.status === 'running' && attempt !== undefined) attempt.outcome = 'cancelled';
    move(edges, job, 'cancel', 'cancelled', { reason }, model.jobs);
  });

const retry = (at: number): Command =>
  onJob('retry', at, async (job, model, { coordinator, edges }) => {
    let verdict = clientVerdict(job, 'failed', 'cancelled');
    if (verdict[0] === 200 && holderOf(model, job.uniqueKey, job) !== undefined) verdict = [409, 'state_conflict'];
    expectVerdict(await coordinator.api.post(`/jobs/${job.id}/retry`), verdict);
    if (verdict[0] !== 200) return;
    for (const parent of job.parents) {
      const { status } = parent.job;
      const isOpen = isOneOf(status, 'blocked', 'pending', 'running');
      parent.outcome = isOpen ? null : ((status as ModelParent['outcome']) ?? parent.outcome ?? 'cancelled');
      parent.isWaived = !isOpen;
    }
    const to = job.parents.some(({ outcome }) => outcome === null) ? 'blocked' : 'pending';
    move(edges, job, 'retry', to, { failures: 0, isDue: true, reason: null, error: null });
  });

const runNow = (at: number): Command =>
  onJob('run-now', at, async (job, _model, { coordinator, edges }) => {
    const verdict = clientVerdict(job, 'blocked', 'pending');
    expectVerdict(await coordinator.api.post(`/jobs/${job.id}/run-now`), verdict);
    if (verdict[0] === 200) move(edges, job, 'edit', job.status, { isDue: true });
  });

const edit = (at: number, priority: number): Command =>
  onJob(`edit ${priority}`, at, async (job, _model, { coordinator, edges }) => {
    const verdict = clientVerdict(job, 'blocked', 'pending');
    expectVerdict(await coordinator.api.patch(`/jobs/${job.id}`, { priority }), verdict);
    if (verdict[0] === 200) move(edges, job, 'edit', job.status, { priority });
  });

const remove = (at: number): Command =>
  onJob('remove', at, async (job, _model, { coordinator, edges }) => {
    let verdict = clientVerdict(job, 'completed', 'failed', 'cancelled');
    // Its workflow runs as long as its gate waits.
    if (verdict[0] === 200 && job.parents.some(({ key, job: { status } }) => key !== undefined && status === 'blocked'))
      verdict = [409, 'state_conflict'];
    expectVerdict(
      await coordinator.api.delete(`/jobs/${job.id}?purge=true`),
      verdict[0] === 200 ? ([204] as unknown as Verdict) : verdict,
    );
    if (verdict[0] === 200) move(edges, job, 'remove', null);
  });

const timeOut = (at: number, by: 'lease' | 'deadline'): Command =>
  onJob(`${by} over`, at, async (job, model, { coordinator, edges }) => {
    await (by === 'lease' ? coordinator.sql.expireLease(job.id) : coordinator.sql.passDeadline(job.id));
    await coordinator.runMonitor();
    if (job.status === 'running') failModel(edges, job, 'timed_out', by, true, null, model.jobs);
  });

const expire = (at: number): Command =>
  onJob(
    'expire',
    at,
    async (job, model, { coordinator, edges }) => {
      await coordinator.sql.expireJob(job.id);
      await coordinator.runMonitor();
      move(edges, job, 'expire', 'cancelled', { reason: 'expired' }, model.jobs);
    },
    (job) => isOneOf(job.status, 'blocked', 'pending'),
  );

const at = fc.nat({ max: 5 });
const back = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 3 }) });
const word = fc.constantFrom('one', 'two');
const priority = fc.constantFrom(-10, 0, 10);

export const COMMANDS: fc.Arbitrary<Command>[] = [
  fc
    .tuple(priority, fc.nat({ max: 3 }), fc.boolean(), fc.integer({ min: 1, max: 2 }), fc.constantFrom(null, null, 'u'))
    .map(([first, delayed, ...rest]) => create(first, delayed === 0, ...rest)),
  ...Array.from({ length: 4 }, () =>
    fc
      .tuple(fc.constantFrom('r1', 'r2'), fc.constantFrom(null, null, 'c1', 'c2'), fc.integer({ min: 1, max: 2 }))
      .map((claims) => claim(...claims)),
  ),
  fc
    .tuple(
      fc.constantFrom('r1', 'r2'),
      fc.constantFrom(null, 'c1'),
      fc.integer({ min: 1, max: 2 }),
      fc.constantFrom(null, 'u'),
    )
    .map((waiting) => createForWaiting(...waiting)),
  fc.tuple(at, back, fc.option(fc.nat({ max: 9 }))).map((sent) => heartbeat(...sent)),
  fc.tuple(at, back, word).map((sent) => complete(...sent)),
  fc
    .tuple(at, back, word, fc.nat({ max: 1 }))
    .map(([job, which, message, retryable]) => fail(job, which, message, retryable > 0)),
  fc.tuple(at, word).map(([job, message]) => fail(job, 0, message, false)),
  fc.tuple(at, back, fc.boolean()).map((sent) => release(...sent)),
  fc.tuple(at, word).map((sent) => cancel(...sent)),
  at.map(retry),
  at.map(retry),
  at.map(runNow),
  fc.tuple(at, back).map((sent) => suspend(...sent)),
  fc.tuple(at, back).map((sent) => suspend(...sent)),
  fc.tuple(at, fc.constantFrom<'completed' | 'cancelled'>('completed', 'cancelled')).map((sent) => endBatch(...sent)),
  fc.boolean().map(createGated),
  ...Array.from({ length: 2 }, () =>
    fc.tuple(at, fc.constantFrom<'opened' | 'refused'>('opened', 'refused')).map((sent) => decide(...sent)),
  ),
  fc.tuple(at, priority).map((sent) => edit(...sent)),
  at.map(remove),
  at.map(remove),
  fc.tuple(at, fc.constantFrom<'lease' | 'deadline'>('lease', 'deadline')).map((sent) => timeOut(...sent)),
  at.map(expire),
  ...Array.from({ length: 3 }, () =>
    fc
      .tuple(fc.nat({ max: 9 }), fc.array(at, { minLength: 1, maxLength: 2 }), fc.boolean())
      .map(([delayed, parents, isTolerated]) => create(0, delayed === 0, false, 1, null, parents, isTolerated)),
  ),
];
