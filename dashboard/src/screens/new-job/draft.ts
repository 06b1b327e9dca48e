import type { Job } from '../../api/reads';
import { readJson } from '../../parts/json-field';

/** What the form holds: text as it was typed, so that nothing is lost while it is not valid yet. */
export interface Draft {
  type: string;
  queue: string;
  arguments: string;
  priority: number | null;
  startsIn: number | null;
  timeoutMs: number | null;
  maxAttempts: number | null;
  strategy: 'default' | 'exponential' | 'linear' | 'fixed';
  baseMs: number | null;
  maxMs: number | null;
  expiresIn: number | null;
  userId: string;
  tags: string[];
  metadata: string;
  requires: string;
  prefers: string;
  uniqueKey: string;
  uniqueForMs: number | null;
  onConflict: 'keep' | 'replace';
  concurrencyKey: string;
  orderKey: string;
  orderOnFailure: 'block' | 'skip';
  callbackUrl: string;
  idempotencyKey: string;
}

export const EMPTY: Draft = {
  type: '',
  queue: '',
  arguments: '{}',
  priority: null,
  startsIn: null,
  timeoutMs: null,
  maxAttempts: null,
  strategy: 'default',
  baseMs: null,
  maxMs: null,
  expiresIn: null,
  userId: '',
  tags: [],
  metadata: '',
  requires: '',
  prefers: '',
  uniqueKey: '',
  uniqueForMs: null,
  onConflict: 'keep',
  concurrencyKey: '',
  orderKey: '',
  orderOnFailure: 'block',
  callbackUrl: '',
  idempotencyKey: '',
};

const JSON_FIELDS = ['arguments', 'metadata', 'requires', 'prefers'] as const;

export function isValid(draft: Draft): boolean {
  return draft.type.trim() !== '' && JSON_FIELDS.every((field) => readJson(draft[field]).isValid);
}

/** Another job like this one. Keys that are unique to it are not taken over. */
export function draftOf(job: Job): Draft {
  const written = (value: object | null): string => (value === null ? '' : JSON.stringify(value, null, 2));
  return {
    ...EMPTY,
    type: job.type,
    queue: job.queue === 'default' ? '' : job.queue,
    arguments: JSON.stringify(job.arguments, null, 2),
    priority: job.priority === 0 ? null : job.priority,
    timeoutMs: job.timeoutMs,
    maxAttempts: job.maxAttempts,
    userId: job.userId ?? '',
    tags: job.tags,
    metadata: written(job.metadata),
    requires: written(job.requires),
    prefers: written(job.prefers),
    concurrencyKey: job.concurrencyKey ?? '',
    orderKey: job.orderKey ?? '',
    callbackUrl: job.callbackUrl ?? '',
  };
}

/** What is sent: only what was filled in. */
export function bodyOf(draft: Draft): Record<string, unknown> {
  const at = (ms: number | null): string | null => (ms === null ? null : new Date(Date.now() + ms).toISOString());
  const hasUnique = draft.uniqueKey.trim() !== '';
  return filledIn({
    ...repeated(draft),
    delayMs: draft.startsIn,
    expiresAt: at(draft.expiresIn),
    uniqueKey: draft.uniqueKey.trim(),
    uniqueForMs: hasUnique ? draft.uniqueForMs : null,
    onConflict: hasUnique && draft.onConflict === 'replace' ? 'replace' : null,
  });
}

/** The same for a job that a schedule creates again and again, which has no times and keys of its own. */
export function repeatedBodyOf(draft: Draft): Record<string, unknown> {
  return filledIn(repeated(draft));
}

function repeated(draft: Draft): Record<string, unknown> {
  const json = (text: string): unknown => {
    const read = readJson(text);
    return text.trim() === '' || !read.isValid ? null : read.value;
  };
  const hasOrder = draft.orderKey.trim() !== '';
  return {
    type: draft.type.trim(),
    queue: draft.queue.trim(),
    arguments: json(draft.arguments),
    priority: draft.priority,
    timeoutMs: draft.timeoutMs,
    maxAttempts: draft.maxAttempts,
    retry:
      draft.strategy === 'default'
        ? null
        : filledIn({ strategy: draft.strategy, baseMs: draft.baseMs, maxMs: draft.maxMs }),
    userId: draft.userId.trim(),
    tags: draft.tags.length === 0 ? null : draft.tags,
    metadata: json(draft.metadata),
    requires: json(draft.requires),
    prefers: json(draft.prefers),
    concurrencyKey: draft.concurrencyKey.trim(),
    orderKey: draft.orderKey.trim(),
    orderOnFailure: hasOrder && draft.orderOnFailure === 'skip' ? 'skip' : null,
    callbackUrl: draft.callbackUrl.trim(),
  };
}

function filledIn(all: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null && value !== ''));
}
