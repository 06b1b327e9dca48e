import { type ApiDocument, bodyOf, nameOf, type Route, type Schema, schemaNamed } from './document';
import { ANSWER_EXAMPLES, ID, SHAPE_EXAMPLES } from './examples';

const AT = '2026-01-31T12:00:00.000Z';
const DEEPEST = 6;

/** Example values of fields by name, where no shape has one; they fit the story that the examples tell. */
const BY_NAME: Record<string, unknown> = {
  type: 'send-mail',
  types: ['send-mail'],
  queue: 'mails',
  queues: ['mails'],
  runnerId: 'mailer-1',
  userId: 'user-42',
  keyId: 'k_8f3b2a1c',
  claimId: 'mailer-1-17',
  idempotencyKey: 'order-1017-mail',
  uniqueKey: 'welcome-user-42',
  concurrencyKey: 'smtp.example.com',
  orderKey: 'user-42',
  callbackUrl: 'https://example.com/hooks/baton',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'vendor=1017',
  requestId: '0b7e5a52-3c52-4c3b-9d3e-0f6f0f6b1a11',
  arguments: { to: 'ada@example.com', template: 'welcome' },
  result: { messageId: '<1017@example.com>' },
  checkpoint: { sent: 40 },
  metadata: { orderId: 1017 },
  fields: { host: 'smtp.example.com' },
  details: {},
  requires: { region: 'eu' },
  prefers: { gpu: true },
  tag: 'welcome',
  tags: ['welcome'],
  labels: { region: 'eu' },
  message: 'connected to the mail server',
  reason: 'the order was withdrawn',
  fingerprint: '9f86d081884c7d65',
  url: 'https://example.com/hooks/baton',
  sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  version: '1.4.0',
  key: 'mails',
  target: 'mails',
  lastEventId: '1017-1',
  'Idempotency-Key': 'order-1017-mail',
  'Last-Event-ID': '1017-1',
  Traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  Prefer: 'return=minimal',
  'Baton-Lease': '4f7c1e0a-5b7e-4a3d-9a55-8d0c0b7f2e61',
  after: AT,
  before: AT,
  nextCursor: null,
  cursor: 'MTAxNw',
  stack: 'Error: The mail server did not answer.\n    at send (mailer.js:17:9)',
};

/** The part with the shapes. */
type Document = Pick<ApiDocument, 'components'>;

/** A value of this shape: with all fields in answers, with required fields in requests. */
export function exampleOf(schema: Schema, document: Document, isSent = false, name = '', depth = 0): unknown {
  const shape = nameOf(schema);
  if (shape !== null) return exampleOfShape(shape, document, isSent, name, depth);
  if (depth > DEEPEST) return null;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const usual = Object.hasOwn(BY_NAME, name) ? BY_NAME[name] : undefined;
  if (usual !== undefined && isOfType(usual, schema)) return usual;
  const kinds = schema.anyOf ?? schema.oneOf;
  if (kinds !== undefined) return exampleOf(lastScalar(kinds), document, isSent, name, depth);
  if (schema.properties !== undefined) return exampleObject(schema, document, isSent, depth);
  if (schema.type === 'array')
    return [exampleOf(schema.items ?? {}, document, isSent, name.replace(/s$/, ''), depth + 1)];
  if (typeof schema.additionalProperties === 'object') return exampleMap(schema, document, isSent, depth);
  return exampleScalar(schema, name);
}

/** A value that may be one or a list is shown as one. */
function lastScalar(kinds: readonly Schema[]): Schema {
  const [first, ...others] = kinds;
  const single = first?.type === 'array' ? others.find(({ type }) => type !== 'array' && type !== 'null') : undefined;
  return single ?? first ?? {};
}

function exampleOfShape(shape: string, document: Document, isSent: boolean, name: string, depth: number): unknown {
  const schema = schemaNamed(shape, document) ?? {};
  const told = SHAPE_EXAMPLES.get(shape) ?? SHAPE_EXAMPLES.get(shape.replace(/Input$/, ''));
  if (told === undefined) return exampleOf(schema, document, isSent, name === '' ? shape : name, depth);
  return complete(told, schema, document, isSent, depth);
}

/** Adds required fields that the example lacks. */
function complete(told: unknown, schema: Schema, document: Document, isSent: boolean, depth: number): unknown {
  if (schema.properties === undefined || typeof told !== 'object') return told;
  const missing = (schema.required ?? []).filter((field) => !(field in (told ?? {})));
  const made = missing.map((field) => [
    field,
    exampleOf(schema.properties?.[field] ?? {}, document, isSent, field, depth + 1),
  ]);
  return { ...told, ...Object.fromEntries(made) };
}

function exampleObject(schema: Schema, document: Document, isSent: boolean, depth: number): Record<string, unknown> {
  const { properties = {}, required = [] } = schema;
  const fields = Object.entries(properties).filter(([field]) => !isSent || required.includes(field));
  return Object.fromEntries(
    fields.map(([field, property]) => [field, exampleOf(property, document, isSent, field, depth + 1)]),
  );
}

/** For a map: each required key, or one. */
function exampleMap(schema: Schema, document: Document, isSent: boolean, depth: number): Record<string, unknown> {
  const { additionalProperties, required = ['mails'] } = schema;
  if (typeof additionalProperties !== 'object') return {};
  return Object.fromEntries(
    required.map((key) => [key, exampleOf(additionalProperties, document, isSent, key, depth + 1)]),
  );
}

function exampleScalar(schema: Schema, name: string): unknown {
  const { type, format, default: fallback, minimum = 0, maximum = Infinity } = schema;
  if (format === 'uuid') return ID;
  if (format === 'date-time') return AT;
  if (fallback !== undefined) return fallback;
  if (type === 'integer' || type === 'number')
    return Math.min(maximum, Math.max(minimum, name.endsWith('Ms') ? 30_000 : 12));
  if (type === 'boolean') return true;
  if (type === 'string') return name === 'id' ? ID : name === 'name' ? 'mails' : 'text';
  if (type === 'null') return null;
  return null;
}

function isOfType(value: unknown, schema: Schema): boolean {
  const kinds = schema.anyOf ?? schema.oneOf;
  if (kinds !== undefined) return kinds.some((kind) => isOfType(value, kind));
  if (schema.$ref !== undefined) return false;
  switch (schema.type) {
    case undefined:
      return true;
    case 'string':
      return (
        typeof value === 'string' && (schema.format === undefined || (schema.format === 'date-time' && value === AT))
      );
    case 'array':
      return Array.isArray(value) && value.every((item) => isOfType(item, schema.items ?? {}));
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value) && schema.properties === undefined;
    case 'null':
      return value === null;
    default:
      return false;
  }
}

/** A body for a first try: what is required, and little more. Null: the operation takes none. */
export function exampleBody(route: Route, document: Document): unknown {
  const schema = bodyOf(route);
  return schema === null ? null : exampleOf(schema, document, true);
}

/** An example of an operation's answer with this status. */
export function exampleAnswer(operationId: string, status: string, schema: Schema, document: Document): unknown {
  return (
    ANSWER_EXAMPLES.get(`${operationId} ${status}`) ??
    (status === '200' || status === '201' ? ANSWER_EXAMPLES.get(operationId) : undefined) ??
    exampleOf(schema, document)
  );
}
