import { type ApiDocument, nameOf, type Route, type Schema, bodyOf } from './document';

const ID = '01936f5e-7b1c-7d2a-9c3e-5f4a6b7c8d9e';
const TOKEN = '4f7c1e0a-5b7e-4a3d-9a55-8d0c0b7f2e61';
const AT = '2026-01-31T12:00:00.000Z';
const DEEPEST = 6;

/** What fields of these names hold, in the story that the examples tell. */
const TOLD: Record<string, unknown> = {
  type: 'send-mail',
  types: ['send-mail'],
  queue: 'default',
  queues: ['default'],
  runnerId: 'mailer-1',
  userId: 'user-42',
  leaseToken: TOKEN,
  idempotencyKey: 'order-1017-mail',
  requestId: '0b7e5a52-3c52-4c3b-9d3e-0f6f0f6b1a11',
  arguments: { to: 'ada@example.com', template: 'welcome' },
  result: { messageId: '<1017@example.com>' },
  tags: ['welcome'],
  labels: { region: 'eu' },
  message: 'sent to the mail server',
  cron: '0 7 * * 1-5',
  timezone: 'Europe/Berlin',
  apiKey: 'baton_…',
  url: 'https://example.com/hooks/baton',
  version: '1.4.0',
  nextCursor: null,
};
/** Fields of bodies that may be left out, but that a first try should show. */
const SHOWN = new Set(['arguments', 'waitMs', 'max', 'result', 'filter', 'reason', 'concurrency', 'tags']);
/** Of what is one of several kinds, and needs one of several fields. */
const ALSO: Record<string, string[]> = { 'patch /jobs/{id}': ['priority'], 'patch /alerts/{id}': ['threshold'] };

/** A body for a first try: what must be sent, and little more. Null: the operation takes none, or nothing must be said. */
export function exampleBody(route: Route, document: ApiDocument): unknown {
  const schema = bodyOf(route);
  if (schema === null) return null;
  return exampleOf(schema, document, { isBody: true, also: new Set(ALSO[`${route.method} ${route.path}`] ?? []) });
}

interface Telling {
  isBody: boolean;
  also?: ReadonlySet<string>;
}

/** A value of this shape. Answers have all their fields. */
export function exampleOf(
  schema: Schema,
  document: ApiDocument,
  telling: Telling = { isBody: false },
  name = '',
  depth = 0,
): unknown {
  const named = nameOf(schema);
  if (named !== null)
    return exampleOf(document.components.schemas[named] ?? {}, document, telling, name === '' ? named : name, depth);
  if (depth > DEEPEST) return null;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const kinds = schema.anyOf ?? schema.oneOf;
  if (kinds !== undefined && !(name in TOLD)) return exampleOf(kinds[0] ?? {}, document, telling, name, depth);
  if (schema.properties !== undefined) return exampleObject(schema, document, telling, depth);
  if (name in TOLD) return TOLD[name];
  if (schema.type === 'array')
    return [exampleOf(schema.items ?? {}, document, telling, name.replace(/s$/, ''), depth + 1)];
  return exampleScalar(schema, name);
}

function exampleObject(
  { properties = {}, required = [] }: Schema,
  document: ApiDocument,
  telling: Telling,
  depth: number,
): Record<string, unknown> {
  const isWanted = (name: string): boolean =>
    !telling.isBody ||
    required.includes(name) ||
    (depth === 0 && (SHOWN.has(name) || telling.also?.has(name) === true));
  const fields = Object.entries(properties).filter(([name]) => isWanted(name));
  return Object.fromEntries(
    fields.map(([name, property]) => [name, exampleOf(property, document, telling, name, depth + 1)]),
  );
}

function exampleScalar(
  { type, format, default: fallback, minimum = 0, maximum = Infinity }: Schema,
  name: string,
): unknown {
  if (format === 'uuid') return ID;
  if (format === 'date-time') return AT;
  if (fallback !== undefined) return fallback;
  if (type === 'integer' || type === 'number')
    return Math.min(maximum, Math.max(minimum, name.endsWith('Ms') ? 30_000 : name.endsWith('PerMinute') ? 12 : 1));
  if (type === 'boolean') return true;
  if (type === 'string') return name === 'id' ? ID : name === 'name' ? 'default' : 'text';
  if (type === 'null') return null;
  return {};
}

/** The call for a shell, which can be sent as it stands once URL and key are set. */
export function curlOf(route: Route, document: ApiDocument): string {
  const path = route.path.replace(/\{(\w+)\}/g, (_all, name: string) => pathValue(name, route));
  const needed = route.parameters
    .filter((one) => one.in === 'query' && one.required)
    .map(
      (one) => `${one.name}=${encodeURIComponent(String(exampleOf(one.schema, document, { isBody: true }, one.name)))}`,
    );
  const body = exampleBody(route, document);
  const lines = [
    `curl ${verbOf(route, body !== null)}"$COORDINATOR_URL${path}${needed.length === 0 ? '' : `?${needed.join('&')}`}"`,
  ];
  if (route.security === undefined) lines.push('-H "Authorization: Bearer $KEY"');
  if (body !== null) lines.push("-H 'Content-Type: application/json'", `-d '${shown(body).replaceAll("'", "'\\''")}'`);
  return lines.join(' \\\n  ');
}

/** Curl reads without a body and posts with one, unless it is told otherwise. */
function verbOf({ method, responses }: Route, hasBody: boolean): string {
  const isStream = Object.values(responses).some(({ content = {} }) => 'text/event-stream' in content);
  if (method === 'get') return isStream ? '-N ' : '';
  return method === 'post' && hasBody ? '' : `-X ${method.toUpperCase()} `;
}

function pathValue(name: string, { path }: Route): string {
  if (name !== 'id') return 'default';
  return path.startsWith('/runners') ? 'mailer-1' : '$ID';
}

/** Short values in one line, long ones spread out. */
export function shown(value: unknown): string {
  const line = JSON.stringify(value);
  return line.length <= 56 ? line : JSON.stringify(value, null, 2);
}
