import type { ServerResponse } from 'node:http';
import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import type { Actor } from '../../domain/auth/caller';
import { decideByLink, type GateLink, type Linked, openLink } from '../../domain/workflows/gates';
import { type Call, endpoint, reply, type Reply } from '../core/endpoint';
import { renderGatePage } from '../render/gate-page';
import { time } from '../render/time';

// Gates by the links that `POST /workflows/:id/gates/:key/link` creates; they need no key.

const params = z.object({ id: protocol.id });

const SIGNED = { for: 'for', until: 'until', signature: 'signature' } as const;

interface Linking extends Pick<Call<unknown, unknown, unknown>, 'header'> {
  params: z.output<typeof params>;
  query: z.output<typeof protocol.gateLinkQuery>;
}

export const gateEndpoints = [
  endpoint({
    method: 'get',
    path: '/gates/:id',
    summary: 'Read the gate of a link, as a page for browsers or as JSON; changes nothing',
    roles: 'public',
    params,
    query: protocol.gateLinkQuery,
    replies: { 200: protocol.linkedGate },
    hasPage: true,
    run: async (call) => show(call, await openLink(call.services.context, read(call))),
  }),
  endpoint({
    method: 'post',
    path: '/gates/:id',
    summary: 'Open or refuse the gate of a link',
    roles: 'public',
    params,
    query: protocol.decideLinkQuery,
    audit: ['gate.opened', 'gate.refused'],
    replies: { 200: protocol.linkedGate },
    hasPage: true,
    async run(call) {
      const { outcome } = call.query;
      const by: Actor = { ...call.by, keyId: '', keyName: 'link', role: 'none', userId: null };
      return show(call, await decideByLink(call.services.context, by, read(call), { outcome }));
    },
  }),
];

/** The URL of a link, with the host name by which the coordinator was called. */
export function linkOf(
  { header, isSecure }: Pick<Call<unknown, unknown, unknown>, 'header' | 'isSecure'>,
  link: GateLink,
): string {
  const query = new URLSearchParams({
    ...(link.outcome === null ? {} : { [SIGNED.for]: link.outcome }),
    [SIGNED.until]: String(link.expiresAtMs),
    [SIGNED.signature]: link.signature,
  });
  return `${isSecure ? 'https' : 'http'}://${header('host') ?? 'localhost'}/gates/${link.gateId}?${query.toString()}`;
}

function read({ params: { id }, query }: Linking): GateLink {
  return { gateId: id, outcome: query.for ?? null, expiresAtMs: query.until, signature: query.signature };
}

function show(call: Linking, linked: Linked): Reply {
  const headers = { Vary: 'Accept', 'Cache-Control': 'no-store' };
  const shown = render(linked);
  if (call.header('accept')?.includes('text/html') !== true) return reply(200, shown, headers);
  const { for: only, until, signature } = call.query;
  const query = new URLSearchParams({ ...(only === undefined ? {} : { for: only }), until: String(until), signature });
  const page = renderGatePage(shown, {
    style: '/docs/reference.css',
    actionOf: (outcome) => `/gates/${call.params.id}?${query.toString()}&outcome=${outcome}`,
    outcomes: only === undefined ? protocol.gateOutcome.options : [only],
  });
  const send = (response: ServerResponse): void => {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end(page);
  };
  return { status: 200, body: null, headers, send };
}

function render({ workflow, gate }: Linked): protocol.LinkedGate {
  return {
    workflow: { id: workflow.id, name: workflow.name, status: workflow.status },
    key: gate.key,
    state: stateOf(gate),
    expiresAt: time(gate.expiresAt),
  };
}

function stateOf({ status, isReady, reason }: Linked['gate']): protocol.LinkedGate['state'] {
  if (status === 'completed') return 'opened';
  if (status !== 'blocked') return reason === 'refused' || reason === 'expired' ? reason : 'cancelled';
  return isReady ? 'waiting' : 'blocked';
}
