import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { actorOf, type Caller } from '../../domain/auth/caller';
import { closeSession, createLink, openSession } from '../../domain/auth/sessions';
import { BatonError } from '../../errors';
import { readSession, sessionCookie } from '../core/browser';
import { endpoint, EVERYONE, reply } from '../core/endpoint';

export const sessionEndpoints = [
  endpoint({
    method: 'post',
    path: '/session',
    summary: 'Sign in a browser with an API key or a link; the response sets an HttpOnly cookie',
    roles: 'public',
    body: protocol.openSession,
    audit: ['session.opened'],
    replies: { 201: protocol.session },
    async run({ services, by, body, header, isSecure }) {
      // Another site must not sign a user in with a key of its own.
      const site = header('sec-fetch-site');
      if (site !== undefined && site !== 'same-origin' && site !== 'none')
        throw new BatonError('forbidden', 'Only pages of this coordinator may sign in.');
      const { apiKey, linkToken } = body;
      const { authenticator } = services;
      const { caller } = await (apiKey === undefined
        ? authenticator.authenticateLink(linkToken ?? '', by.address)
        : authenticator.authenticateKey(apiKey, by.address));
      const { token, expiresAt } = await openSession(services.context, actorOf(caller, by), linkToken);
      const cookie = sessionCookie(token, { isSecure, maxAgeMs: expiresAt.getTime() - Date.now() });
      return reply(201, render(caller, expiresAt), { 'Set-Cookie': cookie });
    },
  }),
  endpoint({
    method: 'post',
    path: '/session/links',
    scope: 'kept',
    summary: "Create a link that signs a browser in once, with the rights of the caller's key",
    roles: EVERYONE,
    body: protocol.createSessionLink,
    audit: ['session.link_created'],
    replies: { 201: protocol.sessionLink },
    async run({ services, by, body }) {
      const { token, expiresAt } = await createLink(services.context, by, body.expiresInMs);
      // After the #, which browsers do not send, so that it is in no log.
      return reply(201, { token, path: `/dashboard/#sign-in=${token}`, expiresAt: expiresAt.toISOString() });
    },
  }),
  endpoint({
    method: 'get',
    path: '/session',
    scope: 'kept',
    summary: 'Read who the caller is',
    roles: EVERYONE,
    replies: { 200: protocol.session },
    run: async ({ caller, sessionEndsAt }) => Promise.resolve(reply(200, render(caller, sessionEndsAt))),
  }),
  endpoint({
    method: 'delete',
    path: '/session',
    scope: 'kept',
    summary: 'Sign out a browser',
    roles: EVERYONE,
    audit: ['session.closed'],
    replies: { 204: z.null() },
    async run({ services, by, header, isSecure }) {
      const token = readSession(header('cookie'));
      if (token !== undefined) {
        await closeSession(services.context, by, token);
        services.keys.forgetSession(token);
      }
      return reply(204, null, { 'Set-Cookie': sessionCookie('', { isSecure, maxAgeMs: 0 }) });
    },
  }),
];

function render({ keyId, name, role, userId }: Caller, expiresAt: Date | null): protocol.Session {
  return { keyId, name, role, userId, expiresAt: expiresAt === null ? null : expiresAt.toISOString() };
}
