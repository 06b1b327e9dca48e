import { readFileSync } from 'node:fs';
import { NonRetryableError } from '@baton/runner-sdk';
import { SettingsError } from '@baton/runner-kit';
import { z } from 'zod';
import { type HttpArguments, requestParts } from './jobs';
import type { Json } from './pick';

/** A job type and its request. */
export interface RequestTemplate {
  type: string;
  /** Arguments that each job must have. */
  required: string[];
  request: Record<string, unknown>;
}

const file = z.strictObject({
  types: z.record(
    z.string().regex(/^[A-Za-z0-9_][\w.:/-]{0,199}$/, 'must be a job type'),
    z.strictObject({
      about: z.string().optional(),
      arguments: z.array(z.string().regex(/^\w+$/)),
      optional: z.array(z.string().regex(/^\w+$/)).default([]),
      request: z.record(z.string(), z.json()),
    }),
  ),
});

const PLACEHOLDER = /\{\{\s*arguments\.(\w+)\s*\}\}/g;
const SECRET = /\{\{\s*secret\./;
const ONLY_PLACEHOLDER = /^\{\{\s*arguments\.(\w+)\s*\}\}$/;

/**
 * Reads job types that stand for requests. A text that consists of `{{arguments.name}}` alone is replaced by the
 * argument itself; within a text the argument is inserted, and escaped in a URL.
 * @throws {SettingsError} for an invalid file
 */
export function readTemplates(path: string): RequestTemplate[] {
  const read = file.safeParse(jsonOf(path));
  if (!read.success) {
    const issue = read.error.issues[0];
    throw new SettingsError(`HTTP_REQUEST_TYPES ${path}: ${issue?.path.join('.')} ${issue?.message}`);
  }
  return Object.entries(read.data.types).map(([type, { arguments: required, optional, request }]) => {
    const used = [...JSON.stringify(request).matchAll(PLACEHOLDER)].map(([, name = '']) => name);
    const unknown = used.find((name) => !required.includes(name) && !optional.includes(name));
    if (unknown !== undefined)
      throw new SettingsError(
        `HTTP_REQUEST_TYPES ${path}: types.${type} uses {{arguments.${unknown}}}, which it does not list`,
      );
    const allowed = Object.keys(requestParts.shape);
    const odd = Object.keys(request).find((name) => !allowed.includes(name));
    if (odd !== undefined)
      throw new SettingsError(
        `HTTP_REQUEST_TYPES ${path}: types.${type}.request.${odd} is none of ${allowed.join(', ')}`,
      );
    return { type, required, request };
  });
}

/**
 * The request of a job.
 * @throws {NonRetryableError} `invalid_arguments`
 */
export function requestOf({ type, required, request }: RequestTemplate, args: unknown): HttpArguments {
  const given = new Map(typeof args === 'object' && args !== null ? Object.entries(args as Record<string, Json>) : []);
  const missing = required.filter((name) => given.get(name) === undefined || given.get(name) === null);
  if (missing.length > 0) throw invalid(`${type} needs the arguments ${missing.join(', ')}`);
  const filled = Object.entries(request).flatMap(([name, value]) => {
    const put = name === 'url' ? urlOf(String(value), given) : fill(value, given);
    return put === undefined ? [] : [[name, put] as const];
  });
  const checked = requestParts.safeParse(Object.fromEntries(filled));
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0];
  throw invalid(`the arguments make no request of ${type}: ${issue?.path.join('.')} ${issue?.message}`);
}

/** A secret's placeholder in an argument must not take effect, because only the operator's request may use secrets. */
function fill(value: unknown, given: ReadonlyMap<string, Json>): unknown {
  if (typeof value === 'string') {
    const only = ONLY_PLACEHOLDER.exec(value)?.[1];
    if (only !== undefined) return harmless(given.get(only));
    return value.replace(PLACEHOLDER, (_text, name: string) => textOf(harmless(given.get(name))));
  }
  if (Array.isArray(value)) return value.map((one) => fill(one, given) ?? null);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, one]) => [key, fill(one, given)] as const);
  return Object.fromEntries(entries.filter(([, one]) => one !== undefined));
}

function urlOf(url: string, given: ReadonlyMap<string, Json>): string {
  return url.replace(PLACEHOLDER, (_text, name: string) => encodeURIComponent(textOf(given.get(name))));
}

function harmless(value: Json | undefined): Json | undefined {
  if (SECRET.test(JSON.stringify(value ?? null))) throw invalid('an argument must not name a secret of the runner');
  return value;
}

function textOf(value: Json | undefined): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function invalid(message: string): NonRetryableError {
  return new NonRetryableError(message, { code: 'invalid_arguments' });
}

function jsonOf(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SettingsError(
      `HTTP_REQUEST_TYPES ${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
