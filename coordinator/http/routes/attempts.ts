import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import type { Caller } from '../../domain/auth/caller';
import { withinKeyScope } from '../../domain/auth/key-scope';
import { readDependency } from '../../domain/jobs/dependencies';
import { BatonError } from '../../errors';
import type { ClaimedRow } from '../../store/jobs';
import { mapInTurns } from '../../turns';
import { claimedTexts } from '../render/claimed-text';
import type { Services } from '../core/services';
import { endpoint, reply, type Reply, replyText, RUNNERS } from '../core/endpoint';
import type { DisconnectSignal } from '../../dispatch/disconnect-signal';
import { boundedWait } from '../core/limits';
import { listText, toJson } from '../core/json';
import { invalid, missing, orThrow } from '../core/problem';

// The calls of runners.

const params = z.object({ id: protocol.id });

const WORK = { none: "a job's attempts and log lines tell what runners did" };

export const attemptEndpoints = [
  endpoint({
    method: 'post',
    path: '/jobs/claim',
    summary: 'Claim jobs, waiting if there are none',
    roles: RUNNERS,
    body: protocol.claim,
    audit: WORK,
    replies: { 200: protocol.claimReply },
    async run({ services, caller, body, disconnect, park, protocol: version }) {
      if (body.waitMs > 0) park();
      const jobs = await claimFor(services, caller, body, version, disconnect);
      services.tracing?.claimed(jobs);
      return replyClaimed(
        services,
        jobs,
        listText('{"jobs":', claimedTexts(jobs), `,"directives":${toJson(claimDirectives(services, body))}}`),
      );
    },
  }),
  endpoint({
    method: 'post',
    path: '/jobs/complete',
    summary: 'Report many outcomes, and claim the next jobs in the same call',
    roles: RUNNERS,
    body: protocol.completions,
    takes: 'list',
    audit: WORK,
    replies: { 200: protocol.completionsReply },
    async run({ services, caller, body, disconnect, protocol: version }) {
      const results = await answerEach(
        body.completions,
        protocol.completion,
        'completion',
        (items) => withinKeyScope(services.context, caller, items, services.complete),
        (done) => done,
      );
      services.tracing?.settled(body.completions.length);
      const { claim } = body;
      if (claim === undefined) return reply(200, { results, directives: {} });
      const jobs = await claimNext(services, caller, claim, version, disconnect);
      if (jobs.length > 0) services.tracing?.claimed(jobs);
      return replyClaimed(
        services,
        jobs,
        listText(
          `{"results":${toJson(results)},"jobs":`,
          claimedTexts(jobs),
          `,"directives":${toJson(claimDirectives(services, claim))}}`,
        ),
      );
    },
  }),
  endpoint({
    method: 'post',
    path: '/jobs/heartbeat',
    summary: 'Extend all leases of a runner, or wait for cancellations',
    roles: RUNNERS,
    body: protocol.heartbeats,
    takes: 'list',
    audit: WORK,
    replies: { 200: protocol.heartbeatsReply },
    async run({ services, caller, body, disconnect, park }) {
      if (body.goodbye) services.context.runnerRegistry.markStopped(body.runnerId);
      else services.context.runnerRegistry.markSeen({ id: body.runnerId });
      const jobs = await answerEach(
        body.jobs,
        protocol.beat,
        'heartbeat',
        (items) => withinKeyScope(services.context, caller, items, services.heartbeat),
        ({ leaseExpiresAt }) => ({ leaseExpiresAt: leaseExpiresAt.toISOString() }),
      );
      if (body.waitMs === 0) return reply(200, { jobs, directives: directives(services, body.runnerId) });
      park({ isHeartbeat: true });
      const { runnerId, isDraining } = body;
      const waitMs = boundedWait(body.waitMs);
      const check = await services.waitingHeartbeats.wait(runnerId, { waitMs, isDraining }, disconnect);
      return reply(200, { jobs, check, directives: directives(services, body.runnerId) });
    },
  }),
  endpoint({
    method: 'get',
    path: '/jobs/:id/dependencies/:parentId/result',
    summary: 'Read the result of a job that a claimed one waited for',
    roles: RUNNERS,
    params: params.extend({ parentId: protocol.id }),
    headers: { 'Baton-Lease': 'The lease token from the claim of the job.' },
    replies: { 200: protocol.dependencyResult },
    async run({ services, caller, params: { id, parentId }, header }) {
      const leaseToken = readLease(header('baton-lease'));
      const [text] = await withinKeyScope(services.context, caller, [{ jobId: id, leaseToken, parentId }], readEach);
      return replyText(200, orThrow(text));

      async function readEach(items: Parameters<typeof readDependency>[1][]): Promise<string[]> {
        return Promise.all(items.map((item) => readDependency(services.context, item)));
      }
    },
  }),
  endpoint({
    method: 'post',
    path: '/jobs/:id/heartbeat',
    summary: 'Extend one lease, and send progress, log lines or a checkpoint',
    roles: RUNNERS,
    params,
    body: protocol.heartbeat,
    takes: 'list',
    audit: WORK,
    replies: { 200: protocol.heartbeatReply },
    async run({ services, caller, params: { id }, body }) {
      const [outcome] = await withinKeyScope(services.context, caller, [{ jobId: id, ...body }], services.heartbeat);
      const { leaseExpiresAt, runnerId } = orThrow(outcome);
      services.context.runnerRegistry.markSeen({ id: runnerId });
      return reply(200, { leaseExpiresAt: leaseExpiresAt.toISOString(), directives: directives(services, runnerId) });
    },
  }),
  endpoint({
    method: 'post',
    path: '/jobs/:id/complete',
    summary: 'Report the outcome of one attempt',
    roles: RUNNERS,
    params,
    body: protocol.complete,
    takes: 'list',
    audit: WORK,
    replies: { 200: protocol.completeReply },
    async run({ services, caller, params: { id }, body }) {
      const [outcome] = await withinKeyScope(services.context, caller, [{ jobId: id, ...body }], services.complete);
      return reply(200, orThrow(outcome));
    },
  }),
  endpoint({
    method: 'post',
    path: '/jobs/:id/release',
    summary: 'Release a job without an outcome; no failure is counted',
    roles: RUNNERS,
    params,
    body: protocol.release,
    takes: 'list',
    audit: WORK,
    replies: { 200: protocol.releaseReply },
    async run({ services, caller, params: { id }, body }) {
      const [outcome] = await withinKeyScope(services.context, caller, [{ jobId: id, ...body }], services.release);
      return reply(200, orThrow(outcome));
    },
  }),
];

/** The lease token of a call without a body. */
function readLease(sent: string | undefined): string {
  const read = protocol.leaseToken.safeParse(sent);
  if (!read.success) throw invalid('header Baton-Lease', protocol.leaseToken, sent, read.error);
  return read.data;
}

async function claimFor(
  services: Services,
  caller: Caller,
  claim: protocol.Claim,
  protocolVersion: number,
  disconnect: DisconnectSignal,
): Promise<ClaimedRow[]> {
  const allowed = withinKey(caller, claim);
  const { runnerId, types, queues, labels, version, typeSet } = allowed;
  services.context.runnerRegistry.markSeen({
    id: runnerId,
    types,
    queues: queues ?? [],
    labels,
    version,
    protocol: protocolVersion,
    typeSet,
  });
  return services.dispatcher.claim({ ...allowed, waitMs: boundedWait(allowed.waitMs) }, disconnect);
}

/** If the socket closes between the grant and the answer, the jobs are released. */
function replyClaimed({ dispatcher }: Services, jobs: ClaimedRow[], text: string | readonly string[]): Reply {
  return { ...replyText(200, text), onUnsent: () => dispatcher.undelivered.giveBack(jobs) };
}

/** The reports are already stored, so a failing claim must not lose their answer. */
async function claimNext(
  services: Services,
  caller: Caller,
  claim: protocol.Claim,
  protocolVersion: number,
  disconnect: DisconnectSignal,
): Promise<ClaimedRow[]> {
  try {
    return await claimFor(services, caller, { ...claim, waitMs: 0 }, protocolVersion, disconnect);
  } catch (error) {
    if (error instanceof BatonError) return [];
    throw error;
  }
}

/** @throws {BatonError} `forbidden` for a type or queue outside the runner's key */
function withinKey(caller: Caller, claim: protocol.Claim): protocol.Claim {
  const { types, queues } = caller;
  const type = types === null ? undefined : claim.types.find((one) => !types.includes(one));
  if (type !== undefined)
    throw new BatonError('forbidden', `This key may not claim jobs of type ${type}; it may claim ${listed(types)}.`);
  if (queues === null) return claim;
  if (queues.length === 0) throw new BatonError('forbidden', 'This key may not claim from any queue.');
  const queue = claim.queues?.find((one) => !queues.includes(one));
  if (queue !== undefined)
    throw new BatonError(
      'forbidden',
      `This key may not claim from queue ${queue}; it may claim from ${listed(queues)}.`,
    );
  return { ...claim, queues: claim.queues ?? queues };
}

function listed(names: string[] | null): string {
  return names === null || names.length === 0 ? 'none' : names.join(', ');
}

/** Parses and handles each item of a runner's list on its own: a bad one must not cost the others their leases. */
async function answerEach<Item extends { jobId: string }, Outcome extends object>(
  sent: unknown[],
  schema: z.ZodType<Item>,
  name: string,
  verb: (items: Item[]) => Promise<(Outcome | BatonError | undefined)[]>,
  render: (outcome: Outcome) => object,
): Promise<unknown[]> {
  const read = await mapInTurns(sent, (one) => schema.safeParse(one));
  const items = read.flatMap((one) => (one.success ? [one.data] : []));
  const outcomes = items.length === 0 ? [] : await verb(items);
  let next = 0;
  return read.map((one, index) => {
    if (!one.success) return { jobId: jobIdOf(sent[index]), ...invalid(name, schema, sent[index], one.error).toItem() };
    const { jobId } = one.data;
    const outcome = outcomes[next++] ?? missing();
    return { jobId, ...(outcome instanceof BatonError ? outcome.toItem() : render(outcome)) };
  });
}

/** Echoed only if it is text; anything else may be nested too deeply to be written. */
function jobIdOf(sent: unknown): string | null {
  return typeof sent === 'object' && sent !== null && 'jobId' in sent && typeof sent.jobId === 'string'
    ? sent.jobId
    : null;
}

function directives(services: Services, runnerId: string): protocol.Directives {
  return services.context.runnerRegistry.isDraining(runnerId) ? { drain: true } : {};
}

/** A runner whose schemas were forgotten, or got lost with the database, publishes them again. */
function claimDirectives(services: Services, { runnerId, typeSet }: protocol.Claim): protocol.Directives {
  const told = directives(services, runnerId);
  return services.context.publishedTypes.isMissing(typeSet) ? { ...told, publishTypes: true } : told;
}
