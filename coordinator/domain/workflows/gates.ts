import { createHmac, timingSafeEqual } from 'node:crypto';
import type { GateOutcome, Json } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as jobs from '../../store/jobs';
import * as views from '../../store/views/workflows';
import { record } from '../audit/record';
import type { Actor } from '../auth/caller';
import { jobEvent } from '../events/events';
import { payloadBytes, requireBytes } from '../jobs/payload-size';
import { settle } from '../jobs/settle';
import type { Acting } from './control';
import { notFound } from './create';
import { ANY_WORKFLOW, workflowScope } from './scope';

export interface Decision {
  outcome: GateOutcome;
  result?: Json | undefined;
}

/**
 * blocked -> completed or cancelled, for a gate whose parents have all ended. Repeating the same decision changes
 * nothing.
 * @throws {BatonError} `not_found`, `state_conflict`
 */
export async function decideGate(
  context: Context,
  { caller, by }: Acting,
  workflowId: string,
  key: string,
  decision: Decision,
): Promise<views.NodeRow> {
  if ((await views.head(context.db, workflowScope(caller), workflowId)) === null) throw notFound(workflowId);
  return decide(context, by, await findGate(context, workflowId, key), workflowId, decision);
}

/** The same for the holder of a link to the gate. */
export async function decideByLink(context: Context, by: Actor, link: GateLink, decision: Decision): Promise<Linked> {
  const linked = await openLink(context, link);
  if (link.outcome !== null && link.outcome !== decision.outcome)
    throw new BatonError('forbidden', `This link can only be used for ${link.outcome}.`);
  await decide(context, by, linked.gate, linked.workflow.id, decision);
  return openLink(context, link);
}

/** The parameters of a link, as in its URL. */
export interface GateLink {
  gateId: string;
  outcome: GateOutcome | null;
  expiresAtMs: number;
  signature: string;
}

export interface Linked {
  workflow: views.WorkflowHead;
  gate: views.NodeRow;
}

/**
 * Creates a signed link, with which the gate can be decided without a key.
 * @throws {BatonError} `not_found`
 */
export async function linkGate(
  context: Context,
  { caller, by }: Acting,
  workflowId: string,
  key: string,
  { outcome = null, expiresInMs }: { outcome?: GateOutcome | null | undefined; expiresInMs: number },
): Promise<GateLink> {
  if ((await views.head(context.db, workflowScope(caller), workflowId)) === null) throw notFound(workflowId);
  const { id: gateId } = await findGate(context, workflowId, key);
  return context.db.transaction(async (transaction) => {
    const { secret, nowMs } = await requireSecret(transaction, gateId);
    const link = { gateId, outcome, expiresAtMs: Math.floor(nowMs + expiresInMs) };
    const details = { workflowId, key, ...(outcome === null ? {} : { outcome }) };
    await record(transaction, by, [{ action: 'gate.link_created', target: gateId, details }]);
    return { ...link, signature: signatureOf(link, secret) };
  });
}

/** @throws {BatonError} `not_found` for an invalid link, or one that can no longer be used */
export async function openLink(context: Context, link: GateLink): Promise<Linked> {
  const found = await views.linked(context.db, link.gateId);
  const isGood =
    found !== null && isEqual(link.signature, signatureOf(link, found.secret)) && found.nowMs < link.expiresAtMs;
  if (!isGood) throw new BatonError('not_found', 'This link is not one of ours, or it has expired.');
  const workflow = await views.head(context.db, ANY_WORKFLOW, found.workflowId);
  if (workflow === null) throw notFound(found.workflowId);
  return { workflow, gate: await findGate(context, found.workflowId, found.key) };
}

async function decide(
  context: Context,
  by: Actor,
  gate: views.NodeRow,
  workflowId: string,
  { outcome, result }: Decision,
): Promise<views.NodeRow> {
  const tooLarge = requireBytes(payloadBytes(result), 'result', context.maxPayloadBytes);
  if (tooLarge !== null) throw tooLarge;
  const isOpened = outcome === 'opened';
  const moved = await context.db.transaction(async (transaction) => {
    const decided = await jobs.decideGate(transaction, {
      gateId: gate.id,
      to: isOpened ? 'completed' : 'cancelled',
      result: isOpened && result !== undefined ? JSON.stringify(result) : null,
      reason: isOpened ? null : REFUSED,
    });
    const details = { workflowId, key: gate.key };
    if (decided.length > 0)
      await record(transaction, by, [{ action: isOpened ? 'gate.opened' : 'gate.refused', target: gate.id, details }]);
    return decided;
  });
  context.events.tell(moved.map((job) => jobEvent(isOpened ? 'job.completed' : 'job.cancelled', job)));
  await settle(context, moved);
  const now = await findGate(context, workflowId, gate.key);
  if (moved.length === 0 && !isDecided(now, outcome)) throw conflict(now);
  return now;
}

/** The reason of a gate that was refused. */
const REFUSED = 'refused';

function isDecided({ status, reason }: views.NodeRow, outcome: GateOutcome): boolean {
  return outcome === 'opened' ? status === 'completed' : status === 'cancelled' && reason === REFUSED;
}

function conflict({ key, status, reason, isReady }: views.NodeRow): BatonError {
  if (status === 'blocked')
    return new BatonError(
      'state_conflict',
      isReady
        ? `The time to decide the gate ${key} is over.`
        : `The gate ${key} cannot be decided yet: jobs that it waits for have not ended.`,
    );
  const was = status === 'completed' ? 'opened' : (reason ?? 'cancelled');
  return new BatonError('state_conflict', `The gate ${key} was decided already: it is ${was}.`);
}

async function findGate(context: Context, workflowId: string, key: string): Promise<views.NodeRow> {
  const gate = await views.gate(context.db, workflowId, key);
  if (gate === null) throw new BatonError('not_found', `The workflow has no gate with the key ${key}.`);
  return gate;
}

async function requireSecret(
  db: Parameters<typeof views.linked>[0],
  gateId: string,
): Promise<{ secret: string; nowMs: number }> {
  const found = await views.linked(db, gateId);
  if (found === null) throw new BatonError('not_found', 'The gate is gone.');
  return found;
}

function signatureOf({ gateId, outcome, expiresAtMs }: Omit<GateLink, 'signature'>, secret: string): string {
  return createHmac('sha256', secret)
    .update(`${gateId}.${outcome ?? '*'}.${expiresAtMs}`)
    .digest('base64url');
}

function isEqual(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}
