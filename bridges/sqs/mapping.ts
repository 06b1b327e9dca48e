import { readFileSync } from 'node:fs';
import { SettingsError } from '@baton/runner-kit';
import { z } from 'zod';
import type { Message } from './queue';

export type Json = z.output<ReturnType<typeof z.json>>;
export type JobRequest = Record<string, Json> & { type: string };

/** A message that can never become a job. `code` and the message go to the dead-letter queue with it. */
export class RefusedMessage extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The fields of a create; whether their values are valid is for the coordinator to say. */
const JOB_FIELDS = [
  ...['type', 'queue', 'arguments', 'priority', 'runAt', 'delayMs', 'timeoutMs', 'maxAttempts', 'retry', 'uniqueKey'],
  ...['uniqueForMs', 'onConflict', 'concurrencyKey', 'orderKey', 'orderOnFailure', 'expiresAt', 'requires', 'prefers'],
  ...['tags', 'metadata', 'userId', 'callbackUrl', 'dependsOn', 'onDependencyFailure'],
];

const rule = z.strictObject({
  about: z.string().optional(),
  /** Values that the message must have, by path: `{"body.detail-type": "Order Placed"}`. */
  when: z.record(z.string(), z.json()).default({}),
  job: z.record(z.string(), z.json()),
});
const mapping = z.strictObject({ messages: z.array(rule).min(1) });
export type Rule = z.output<typeof rule>;

const ROOTS = ['body', 'text', 'attributes', 'message'];
const PLACEHOLDER = /\{\{\s*(json\s+)?([^\s{}]+)\s*\}\}/g;
const ONLY_PLACEHOLDER = /^\{\{\s*(json\s+)?([^\s{}]+)\s*\}\}$/;

/** @throws {SettingsError} for a file that cannot be used */
export function readMapping(path: string): readonly Rule[] {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SettingsError(`SQS_MAPPING ${path} is not JSON: ${reasonOf(error)}`);
  }
  const read = mapping.safeParse(value);
  if (!read.success) {
    const issue = read.error.issues[0];
    throw new SettingsError(`SQS_MAPPING ${path}: ${issue?.path.join('.')} ${issue?.message}`);
  }
  for (const [index, { when, job }] of read.data.messages.entries()) {
    const paths = [...Object.keys(when), ...placeholdersOf(job)];
    const unknown = paths.find((one) => !ROOTS.includes(one.split('.')[0] ?? ''));
    if (unknown !== undefined)
      throw new SettingsError(
        `SQS_MAPPING ${path}: messages.${index} names ${unknown}; paths begin with ${ROOTS.join(', ')}`,
      );
    const odd = Object.keys(job).find((name) => !JOB_FIELDS.includes(name));
    if (odd !== undefined)
      throw new SettingsError(`SQS_MAPPING ${path}: messages.${index}.job.${odd} is none of ${JOB_FIELDS.join(', ')}`);
    if (job['type'] === undefined) throw new SettingsError(`SQS_MAPPING ${path}: messages.${index}.job needs a type`);
  }
  return read.data.messages;
}

/**
 * The job that a message asks for. Without rules the body is a job, as `POST /jobs` takes it.
 * @throws {RefusedMessage} when it asks for none
 */
export function jobOf(message: Message, rules: readonly Rule[] | null): JobRequest {
  const values = valuesOf(message);
  return asRequest(rules === null ? bodyOf(values) : mapped(values, rules));
}

type Values = Record<string, Json | undefined>;

function valuesOf({ id, body, attributes, group, sentAt }: Message): Values {
  const parsed = jsonOf(body);
  return {
    ...{ text: body, attributes, message: { id, group: group ?? null, sentAt: sentAt ?? null } },
    ...(parsed !== undefined && { body: parsed }),
  };
}

function bodyOf({ body }: Values): Json {
  if (body === undefined) throw new RefusedMessage('not_json', 'the body is not JSON, and no mapping is set');
  return body;
}

function mapped(values: Values, rules: readonly Rule[]): Json {
  const chosen = rules.find(({ when }) => Object.entries(when).every(([path, wanted]) => meets(values, path, wanted)));
  if (chosen === undefined) throw new RefusedMessage('no_rule', 'no rule of the mapping matches the message');
  return filled(chosen.job, values) ?? null;
}

function meets(values: Values, path: string, wanted: Json): boolean {
  const found = valueAt(values, path);
  return found !== undefined && JSON.stringify(found) === JSON.stringify(wanted);
}

function asRequest(value: Json): JobRequest {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RefusedMessage('not_a_job', 'the body must be an object with the fields of POST /jobs');
  const { type } = value;
  if (typeof type !== 'string') throw new RefusedMessage('no_type', 'the job has no type, which must be a text');
  const unknown = Object.keys(value).find((name) => !JOB_FIELDS.includes(name));
  if (unknown !== undefined)
    throw new RefusedMessage('unknown_field', `${unknown} is not a field of a job; there are ${JOB_FIELDS.join(', ')}`);
  return { ...value, type };
}

/** Undefined: the template is nothing but a placeholder of something that the message does not have. */
function filled(template: Json, values: Values): Json | undefined {
  if (typeof template === 'string') {
    const [whole, parses, path] = ONLY_PLACEHOLDER.exec(template) ?? [];
    if (whole !== undefined) return looked(values, path ?? '', parses !== undefined);
    return template.replace(PLACEHOLDER, (_all, asJson: string | undefined, name: string) =>
      textOf(looked(values, name, asJson !== undefined)),
    );
  }
  if (Array.isArray(template)) return template.map((one) => filled(one, values) ?? null);
  if (typeof template !== 'object' || template === null) return template;
  const entries = Object.entries(template).map(([name, one]) => [name, filled(one, values)] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, Json] => entry[1] !== undefined));
}

/** `{{json body.Message}}` reads a text within the message as JSON, as SNS wraps what it delivers. */
function looked(values: Values, path: string, asJson: boolean): Json | undefined {
  const found = valueAt(values, path);
  if (!asJson || typeof found !== 'string') return found;
  const parsed = jsonOf(found);
  if (parsed === undefined) throw new RefusedMessage('not_json', `${path} is not JSON`);
  return parsed;
}

function valueAt(values: Values, path: string): Json | undefined {
  return path.split('.').reduce<unknown>((value, step) => partOf(value, step), values) as Json | undefined;
}

function partOf(value: unknown, step: string): unknown {
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)).get(step) : undefined;
}

function placeholdersOf(value: Json): string[] {
  return [...JSON.stringify(value).matchAll(PLACEHOLDER)].map(([, , path = '']) => path);
}

function textOf(value: Json | undefined): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function jsonOf(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
