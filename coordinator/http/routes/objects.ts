import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { readObject, reserveObject } from '../../domain/objects/objects';
import { endpoint, reply } from '../core/endpoint';

const params = z.object({ id: protocol.objectId });

export const objectEndpoints = [
  endpoint({
    method: 'post',
    path: '/objects',
    summary:
      'Reserve an object for arguments or a result that are too large for a job, and sign the address to send it to',
    roles: ['admin', 'producer', 'user', 'runner'],
    scope: 'kept',
    body: protocol.newObject,
    audit: { none: 'the job that names it tells of it' },
    replies: { 201: protocol.objectUpload },
    run: async ({ services, caller, body }) => reply(201, await reserveObject(services.context, caller, body)),
  }),
  endpoint({
    method: 'get',
    path: '/objects/:id',
    summary: 'Sign the address at which an object can be read',
    roles: ['admin', 'producer', 'user', 'runner', 'viewer'],
    scope: 'kept',
    params,
    replies: { 200: protocol.objectDownload },
    run: async ({ services, caller, params: { id } }) => reply(200, await readObject(services.context, caller, id)),
  }),
];
