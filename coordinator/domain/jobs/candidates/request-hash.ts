import { createHash, hash } from 'node:crypto';
import { DEFAULT_RETRY, type NewJob, objectReference } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../../errors';
import type { Defaults } from '../../../state/defaults';
import { isReference } from '../../objects/references';
import { Turns } from '../../../turns';

// Decides whether two creates with one idempotency key are the same request: equal as values, however they are written.

/** A job as it was sent, and the defaults for the fields that it left out. */
interface Request {
  job: NewJob;
  defaults: Defaults;
  /** The user that the job will belong to, whether sent or derived from the key. */
  userId: string | undefined;
}

/**
 * The request for a job as text for `isSameRequest`, in three parts: all fields without a configurable default; the
 * effective values of the others; and their values as sent. The order of members, the spelling of times and defaults
 * that are written out do not change the text.
 */
export function requestHash(request: Request): string {
  return `${digest(`job ${canonical(request)}`)}.${settables([request])}`;
}

/** The same for a call that creates several jobs. */
export async function bulkRequestHash(requests: Request[]): Promise<string> {
  const turns = new Turns();
  const base = createHash('sha256').update('call ');
  for (const [index, request] of requests.entries()) {
    base.update(`${index === 0 ? '' : '\n'}${canonical(request)}`);
    await turns.next();
  }
  return `${base.digest('base64url')}.${settables(requests)}`;
}

function settables(requests: Request[]): string {
  const came = requests.map(({ job, defaults }) => settable({ ...defaults, ...present(job) })).join('\n');
  const sent = requests.map(({ job }) => settable(present(job))).join('\n');
  return `${short(came)}.${short(sent)}`;
}

/** Also true when the defaults changed in between: then either the sent or the effective values are equal. */
export function isSameRequest(one: string, other: string): boolean {
  const [base, came, sent] = one.split('.');
  const [otherBase, otherCame, otherSent] = other.split('.');
  return base === otherBase && (came === otherCame || sent === otherSent);
}

export function keyConflict(key: string): BatonError {
  return new BatonError(
    'idempotency_conflict',
    `The idempotency key ${key} was used for another request. Use a new key, or repeat the first request unchanged.`,
  );
}

type Settable = Partial<Defaults>;

function present({ priority, maxAttempts, timeoutMs, retry }: NewJob): Settable {
  return {
    ...(priority === undefined ? {} : { priority }),
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(retry === undefined ? {} : { retry }),
  };
}

function settable({ priority, maxAttempts, timeoutMs, retry }: Settable): string {
  const policy = retry === undefined ? '' : retry === DEFAULT_RETRY ? DEFAULT_RETRY_TEXT : canonicalText(retry);
  return `${priority ?? ''},${maxAttempts ?? ''},${timeoutMs ?? ''},${policy}`;
}

const SHORT = 40;

/** Short text is kept as it is, which saves most creates two digests. The result must not contain a dot. */
function short(text: string): string {
  return text.length <= SHORT && !text.includes('.') ? text : digest(text);
}

function digest(text: string): string {
  return hash('sha256', text, 'base64url');
}

/**
 * All fields of a job without a configurable default. Empty lists and labels, a delay of 0 and values equal to a fixed
 * default count as left out.
 */
function canonical({ job, userId }: Request): string {
  const { priority: _priority, maxAttempts: _maxAttempts, timeoutMs: _timeoutMs, retry: _retry, ...rest } = job;
  return canonicalText({
    ...rest,
    userId,
    arguments: contentOf(job.arguments ?? {}),
    runAt: moment(job.runAt),
    expiresAt: moment(job.expiresAt),
    delayMs: job.delayMs === 0 ? undefined : job.delayMs,
    requires: labelsOf(job.requires),
    prefers: labelsOf(job.prefers),
    dependsOn:
      job.dependsOn === undefined || job.dependsOn.length === 0 ? undefined : [...new Set(job.dependsOn)].sort(),
    onDependencyFailure: job.onDependencyFailure === 'cancel' ? undefined : job.onDependencyFailure,
  });
}

/** A repeated create may have sent the same content once more, as another object. */
function contentOf(value: unknown): unknown {
  const read = isReference(value) ? objectReference.safeParse(value) : null;
  return read?.success === true ? { $object: { sha256: read.data.$object.sha256 } } : value;
}

function labelsOf(labels: NewJob['requires']): NewJob['requires'] {
  return labels === undefined || Object.keys(labels).length === 0 ? undefined : labels;
}

/**
 * A time in microseconds, as PostgreSQL stores it: `2026-01-01T00:00:00Z` and `2026-01-01T01:00:00.000+01:00` are
 * equal.
 */
function moment(time: string | undefined): string | undefined {
  if (time === undefined) return undefined;
  const beyondMs = /\.\d{3}(\d{1,3})/.exec(time)?.[1] ?? '';
  return `${Date.parse(time)}${beyondMs.padEnd(3, '0')}`;
}

/** JSON with the members of objects sorted by name. */
export function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members: string[] = [];
  for (const [name, member] of Object.entries(value).sort(byName)) {
    if (member !== undefined) members.push(`${JSON.stringify(name)}:${canonicalText(member)}`);
  }
  return `{${members.join(',')}}`;
}

function byName([one]: [string, unknown], [other]: [string, unknown]): number {
  return one < other ? -1 : 1;
}

const DEFAULT_RETRY_TEXT = canonicalText(DEFAULT_RETRY);
