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
import { deadlineMs, SHORT_ANSWER_BYTES } from '@baton/coordinator/dist/http/core/unsent-answers';
import { MOST_SESSIONS } from '@baton/coordinator/dist/store/sessions';
import { MOST_PAGE_BYTES } from '@baton/coordinator/dist/store/views/within-bytes';
import { MOST_STATEMENT_BYTES } from '@baton/coordinator/dist/turns';
import { z } from 'zod';

const DEFAULT_PAYLOAD_BYTES = 262_144;

/** What one call costs at most, by route: its body, its answer, and how long it may wait. */
export function routeLimits(endpoints: readonly AnyEndpoint[]): string[][] {
  return endpoints.map((endpoint) => [
    `\`${endpoint.method.toUpperCase()} ${endpoint.path}\``,
    endpoint.roles === 'public' ? 'anybody' : endpoint.roles.join(', '),
    endpoint.body === undefined ? 'none' : size(bodyLimits(endpoint, DEFAULT_PAYLOAD_BYTES).mostBytes),
    answerOf(endpoint),
    WAITS.get(`${endpoint.method} ${endpoint.path}`) ?? 'no',
  ]);
}

const SECONDS = LONGEST_WAIT_MS / 1000;
/** Calls that last by design. */
const WAITS = new Map([
  ['post /jobs/claim', `up to ${SECONDS} s`],
  ['post /jobs/heartbeat', `up to ${SECONDS} s`],
  ['get /jobs/:id/wait', `up to ${SECONDS} s`],
  ['get /events', 'until it is closed'],
  ['get /jobs/:id/events', 'until it is closed'],
]);

function answerOf({ produces, query }: AnyEndpoint): string {
  if (produces === 'text/event-stream') return 'events; 1 MiB unread';
  return query instanceof z.ZodObject && 'cursor' in query.shape ? `${size(MOST_PAGE_BYTES)} a page` : 'one object';
}

/** What bounds all calls together, and each key's part of it: what, in all, for each key, what happens then. */
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
    ['background operations', 'one at a time', '20', '`429`'],
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
    'Calls without a key count for the address they come from: sign-ins as calls in progress, and documents and files of the dashboard as unread responses. `/healthz` and `/readyz` are never refused; all callers of `/readyz` share one query a second. The OpenAPI document is written once.',
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
