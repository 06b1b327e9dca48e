import type { ApiKey } from '@baton/runner-sdk/protocol';
import type { ApiKeyRow } from '../../store/api-keys';
import { time } from './time';

export function renderApiKey(row: ApiKeyRow): ApiKey {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    userId: row.userId,
    queues: row.queues,
    types: row.types,
    createdAt: row.createdAt.toISOString(),
    expiresAt: time(row.expiresAt),
    lastUsedAt: time(row.lastUsedAt),
    revokedAt: time(row.revokedAt),
    rotatedFrom: row.rotatedFrom,
  };
}
