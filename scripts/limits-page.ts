import { DEFAULT_ACCESS } from '@baton/coordinator/dist/http/core/access';
import type { AnyEndpoint } from '@baton/coordinator/dist/http/core/endpoint';
import {
  bodyLimits,
  LONGEST_WAIT_MS,
  MOST_BODY_BYTES,
  MOST_UNSENT_BYTES,
} from '@baton/coordinator/dist/http/core/limits';
import { KEYS_AT_FULL_SHARE } from '@baton/coordinator/dist/http/core/key-limits';
import { MOST_CONTAINERS } from '@baton/coordinator/dist/http/body/parse-json';
import { MOST_BUFFERED_BYTES } from '@baton/coordinator/dist/http/streams/event-writers';
import { deadlineMs, SHORT_ANSWER_BYTES } from '@baton/coordinator/dist/http/core/unsent-answers';
import { callersConnections, callersShare, poolSizes, TIMEOUTS } from '@baton/coordinator/dist/store/db';
import { MOST_SESSIONS } from '@baton/coordinator/dist/store/sessions';
import { MOST_PAGE_BYTES } from '@baton/coordinator/dist/store/views/within-bytes';
import { MOST_CLAIM_BYTES } from '@baton/coordinator/dist/store/jobs';
import { MOST_STATEMENT_BYTES } from '@baton/coordinator/dist/turns';
import { MOST_WORKFLOW_JOBS } from '@baton/runner-sdk/protocol';
import { z } from 'zod';

const DEFAULT_PAYLOAD_BYTES = 262_144;

/** A body that is parsed takes about so many times its size. */
const PARSED = 4;
/** A job has arguments, metadata, a checkpoint and a result. */
const MOST_OBJECT_BYTES = 4 * DEFAULT_PAYLOAD_BYTES;

export const ROUTE_COLUMNS = [
  'route',
  'roles',
  'body',
  'response',
  'memory',
  'processor',
  'rows',
  'connections',
  'who waits',
  'what stops it',
];

/** What one call may cost, by route, as `ROUTE_COLUMNS`. */
export function routeLimits(endpoints: readonly AnyEndpoint[]): string[][] {
  return endpoints.map((endpoint) => {
    const body = endpoint.body === undefined ? 0 : bodyLimits(endpoint, DEFAULT_PAYLOAD_BYTES).mostBytes;
    const answer = answerOf(endpoint, body);
    const pools = poolsOf(endpoint);
    return [
      `\`${endpoint.method.toUpperCase()} ${endpoint.path}\``,
      endpoint.roles === 'public' ? 'anybody' : endpoint.roles.join(', '),
      body === 0 ? 'none' : size(body),
      answer.name,
      size(PARSED * body + answer.bytes),
      `${size(body + answer.bytes)} of JSON`,
      rowsOf(endpoint),
      pools.length === 0 ? 'none' : pools.join(', '),
      pools.length === 0 ? 'nobody' : pools.map((pool) => WHO_WAITS[pool]).join('; '),
      stopsOf(endpoint, pools),
    ];
  });
}

type Pool = 'vital' | 'hot' | 'readers' | 'general';

const WHO_WAITS: Record<Pool, string> = {
  vital: 'heartbeats and reports',
  hot: 'creates and claims',
  readers: 'reads of its key',
  general: 'changes of its key',
};

function stopsOf(endpoint: AnyEndpoint, pools: readonly Pool[]): string {
  const { method, path } = endpoint;
  const wait = WAITS.get(`${method} ${path}`);
  const statements = [...new Set(pools.map((pool) => `${TIMEOUTS[pool].statementTimeoutMs / 1000} s`))];
  const isLeft = pools.includes('readers') || IN_BATCHES.has(`${method} ${path}`);
  return [
    ...(wait === undefined ? [] : [wait]),
    ...(statements.length === 0 ? [] : [`${statements.join(' or ')} a statement`]),
    ...(isLeft || wait !== undefined ? ['the end of its client'] : []),
    ...(statements.length === 0 ? ['it asks nothing'] : []),
  ].join('; ');
}

/** Verbs for any number of jobs, and how many one of their transactions changes. */
const IN_BATCHES = new Map([
  ['post /jobs/cancel', 500],
  ['post /jobs/retry', 500],
  ['post /jobs/prioritise', 500],
  ['post /jobs/purge', 500],
  ['post /jobs/replay', 25],
  ['post /dead-letters/retry', 500],
  ['post /dead-letters/cleanup', 500],
  ['post /cleanup', 500],
  ['post /queues/:name/purge', 500],
  ['post /batches/:id/cancel', 500],
  ['post /batches/:id/retry', 500],
]);

function rowsOf({ method, path, query, body }: AnyEndpoint): string {
  const batch = IN_BATCHES.get(`${method} ${path}`);
  if (batch !== undefined) return `batches of ${batch}`;
  if (path === '/jobs/claim') return '500';
  const limit = query instanceof z.ZodObject ? (schemaOf(query.shape['limit']).maximum ?? 0) : 0;
  const lists = body instanceof z.ZodObject ? Object.values(body.shape).map(longest) : [];
  const most = Math.max(limit, ...lists);
  return most === 0 ? 'few' : most.toLocaleString('en');
}

/** How long a list of objects may be; 0: it is none. */
function longest(field: unknown): number {
  const { type, maxItems, items } = schemaOf(field);
  const holdsTexts = typeof items === 'object' && !Array.isArray(items) && items.type === 'string';
  return type === 'array' && !holdsTexts ? (maxItems ?? 0) : 0;
}

function schemaOf(field: unknown): z.core.JSONSchema.BaseSchema {
  return field instanceof z.ZodType ? z.toJSONSchema(field, { io: 'input', unrepresentable: 'any' }) : {};
}

/** The pools of the calls that carry the work; all other calls use `readers` or `general`. */
const OWN_POOLS = new Map<string, readonly Pool[]>([
  ['post /jobs/claim', ['hot']],
  ['post /jobs/complete', ['vital', 'hot']],
  ['post /jobs/heartbeat', ['vital']],
  ['post /jobs/:id/heartbeat', ['vital']],
  ['post /jobs/:id/complete', ['vital']],
  ['post /jobs/:id/release', ['vital']],
  ['post /jobs', ['hot']],
  ['post /jobs/bulk', ['hot']],
  ['get /jobs/:id/dependencies/:parentId/result', ['hot']],
  ['post /batches', ['hot', 'general']],
  ['post /workflows', ['hot', 'general']],
  ['post /workflows/:id/jobs', ['hot', 'general']],
  ['post /batches/:id/jobs', ['hot', 'general']],
  ['post /jobs/split', ['hot', 'general']],
  ['post /jobs/cancel', ['readers', 'general']],
  ['post /jobs/retry', ['readers', 'general']],
  ['post /jobs/prioritise', ['readers', 'general']],
  ['post /jobs/purge', ['readers', 'general']],
  ['post /session', ['vital', 'general']],
  ['get /healthz', []],
  ['get /readyz', ['general']],
]);

function poolsOf({ method, path }: AnyEndpoint): readonly Pool[] {
  return OWN_POOLS.get(`${method} ${path}`) ?? (method === 'get' ? ['readers'] : ['general']);
}

/** What each pool is for, and what bounds it: name, connections, who waits, what ends a statement. */
export function poolLimits(): string[][] {
  const sizes = poolSizes(16);
  const share = (connections: number) =>
    `${callersShare(connections)} of ${connections} per key; others take turns by key for 5 s`;
  const waits = {
    vital: 'other heartbeats and reports, which share statements; nothing else uses them',
    hot: 'other creates and claims, which share statements; those that wait for locks of keys leave one',
    readers: share(sizes.readers),
    general: `${share(callersConnections(sizes.general))}; one more is for the coordinator`,
  };
  return (Object.keys(waits) as (keyof typeof waits)[]).map((name) => [
    `\`${name}\``,
    String(sizes[name]),
    waits[name],
    `${TIMEOUTS[name].statementTimeoutMs / 1000} s${name === 'readers' ? ', or the end of the client' : ''}; its connection, ${TIMEOUTS[name].answerTimeoutMs / 1000} s without an answer`,
  ]);
}

const SECONDS = LONGEST_WAIT_MS / 1000;
/** Calls that wait by design. */
const WAITS = new Map([
  ['post /jobs/claim', `up to ${SECONDS} s`],
  ['post /jobs/heartbeat', `up to ${SECONDS} s`],
  ['get /jobs/:id/wait', `up to ${SECONDS} s`],
  ['get /batches/:id/wait', `up to ${SECONDS} s`],
  ['get /workflows/:id/wait', `up to ${SECONDS} s`],
  ['get /events', 'until it is closed'],
  ['get /jobs/:id/events', 'until it is closed'],
]);

/** Calls that claim jobs. */
const CLAIMS = new Set(['post /jobs/claim', 'post /jobs/complete']);
/** Calls that answer all that they have created. */
const CREATES = new Set([
  'post /jobs/bulk',
  'post /batches',
  'post /batches/:id/jobs',
  'post /workflows',
  'post /workflows/:id/jobs',
]);

function answerOf({ method, path, produces, query }: AnyEndpoint, body: number): { name: string; bytes: number } {
  const of = (bytes: number, what: string): { name: string; bytes: number } => ({
    name: `${size(bytes)}${what}`,
    bytes,
  });
  if (produces === 'text/event-stream') return of(MOST_BUFFERED_BYTES, ' of unread events');
  const call = `${method} ${path}`;
  if (CLAIMS.has(call)) return of(MOST_CLAIM_BYTES, ' of jobs');
  if (query instanceof z.ZodObject && 'cursor' in query.shape) return of(MOST_PAGE_BYTES, ' a page');
  // All of its jobs, without their payloads.
  if (call === 'get /workflows/:id')
    return { name: `${MOST_WORKFLOW_JOBS.toLocaleString('en')} jobs`, bytes: MOST_WORKFLOW_JOBS * 1024 };
  if (CREATES.has(call)) return of(body, '');
  return of(MOST_OBJECT_BYTES, '');
}

/** Limits of all calls together, and each key's share: what, in all, per key, and what happens above them. */
export function sharedLimits(): string[][] {
  const { eventStreams, eventStreamsPerKey, parkedPollsPerKey, requestsPerKey, socketsPerAddress, socketsPerKey } =
    DEFAULT_ACCESS;
  return [
    ['calls in progress', inAll(requestsPerKey), String(requestsPerKey), '`429`; `503`'],
    [
      'waiting calls, event streams included; waiting heartbeats count separately',
      inAll(parkedPollsPerKey),
      String(parkedPollsPerKey),
      '`429`; `503`',
    ],
    ['connections', `${socketsPerAddress} from one address`, String(socketsPerKey), 'closed; `429`'],
    ['event streams', String(eventStreams), String(eventStreamsPerKey), '`429`; `503`'],
    [
      'request bodies in memory',
      size(MOST_BODY_BYTES.inAll),
      size(MOST_BODY_BYTES.perKey),
      'the body is not read for up to 10 s, then `429`',
    ],
    [
      `unread responses over ${size(SHORT_ANSWER_BYTES)}`,
      size(MOST_UNSENT_BYTES.inAll),
      size(MOST_UNSENT_BYTES.perKey),
      '`429`; `503`',
    ],
    ['browser sessions', 'no limit', String(MOST_SESSIONS), 'the oldest ends'],
    [
      'background operations',
      'one at a time; keys take turns',
      '20',
      '`429`; one that does not come on for 10 minutes fails',
    ],
    ['deliveries in progress', '200', '40 per user, 8 per endpoint', 'they wait'],
  ];
}

function inAll(perKey: number): string {
  return String(perKey * KEYS_AT_FULL_SHARE);
}

/** Rules for all calls, in sentences. */
export function callRules(): string[] {
  return [
    `Headers must arrive within 10 s and take at most 16 KiB; a whole request must arrive within 30 s; an idle connection is kept for 75 s. Connections are checked every 5 s, so a silent one is closed after 10 to 15 s.`,
    'A caller that may not use a route is rejected before the body is read; with `Expect: 100-continue`, before it is sent.',
    'Body limits apply to the decompressed size, checked while the body streams, and to the compressed size. Public routes accept no compressed bodies.',
    `A body holds at most ${MOST_CONTAINERS.toLocaleString('en')} lists and objects. A body over 64 KiB is parsed in pieces, stored ${size(MOST_STATEMENT_BYTES)} a statement, and answered in pieces, so that other requests are served in between.`,
    `A client must read a response within ${deadlineMs(0) / 1000} s plus one second for each 64,000 bytes, or the connection is closed.`,
    'Lists leave out values over 4 KiB and name them in `omitted`; `?fields=` includes them, and pages then hold fewer items. A bulk create that matches more than ten existing jobs leaves such values out too.',
    'A waiting call ends within five seconds after its key, session or token has ended; a job claimed for it is released.',
    'A waiting call holds no database connection.',
    'Where there is a total, a key never gets more than what is still free beside its own part. So nobody can take everything, and a key that has nothing yet is refused (`503`) only when nothing is left; one that has a part gets `429`.',
    'Calls without a key count for the address they come from: sign-ins and links of gates as calls in progress, and documents and files of the dashboard as unread responses. `/healthz` and `/readyz` are never refused; all callers of `/readyz` share one query a second. The OpenAPI document is written once.',
    '`OPTIONS` lists the methods of a path, needs no key, reads nothing, and closes the connection of a caller that sends a body.',
  ];
}

/** Background loops: name, interval, batch size. */
export const LOOPS: string[][] = [
  ['timeout monitor', '`BATON_MONITOR_INTERVAL_MS`', '500 jobs a transaction'],
  ['promotion of due jobs', '1 s', '1,000 jobs'],
  ['check for work of other loops', '1 s', 'one statement'],
  ['runner registry', '1 s; known runners every 10 s', '10,000 runners; those silent for a week are deleted'],
  ['credentials of waiting calls', '1.5 s, while any call waits', 'one statement'],
  ['events', '250 ms, while there are listeners', '500 events'],
  ['deletion of events', '30 s', '5,000 events'],
  ['retention', '60 s', '500 jobs, then a pause of three times the duration; 500 runners and bulk operations'],
  ['rollups', '10 s', '20,000 facts'],
  ['background operations', 'when there is work', '500 jobs a transaction'],
  ['webhooks', 'when there is work', '2,000 deliveries created at once'],
  ['alerts', '30 s', '20 rules'],
  [
    'schedules',
    'when one is due',
    '500 schedules, 1,000 ticks, 8 MiB of jobs a transaction; 100 ticks of one schedule',
  ],
  ['deletion of old ticks', '60 s', '5,000 ticks'],
];

function size(bytes: number): string {
  return bytes >= 1_048_576 ? `${Math.round((bytes / 1_048_576) * 10) / 10} MiB` : `${bytes / 1024} KiB`;
}
