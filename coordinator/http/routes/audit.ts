import * as protocol from '@baton/runner-sdk/protocol';
import type { AuditRow } from '../../store/audit';
import * as views from '../../store/views/audit';
import { ADMINS, endpoint } from '../core/endpoint';
import { isUuid, readCursor, replyPage } from '../core/pages';

export const auditEndpoints = [
  endpoint({
    method: 'get',
    path: '/audit',
    summary: 'Read the audit log of administrative actions, newest first',
    roles: ADMINS,
    query: protocol.listAuditQuery,
    replies: { 200: protocol.auditList },
    async run({ services, query: { limit, cursor, ...filter } }) {
      const rows = await views.page(services.context.db, filter, readCursor(cursor, isUuid), limit + 1);
      return replyPage(rows, limit, render, (row) => row.id);
    },
  }),
];

function render({
  id,
  at,
  action,
  target,
  keyId,
  keyName,
  role,
  userId,
  address,
  requestId,
  details,
}: AuditRow): protocol.AuditEntry {
  return {
    id,
    at: at.toISOString(),
    action,
    target,
    by: { keyId, name: keyName, role, userId, address },
    requestId,
    details,
  };
}
