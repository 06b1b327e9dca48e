import { DEFAULT_ACCESS } from '@baton/coordinator/dist/http/access';
import type { AnyEndpoint } from '@baton/coordinator/dist/http/endpoint';
import { bodyLimits, LONGEST_WAIT_MS, MOST_BODY_BYTES, MOST_UNSENT_BYTES } from '@baton/coordinator/dist/http/limits';
import { MOST_CONTAINERS } from '@baton/coordinator/dist/http/parse-json';
import { deadlineMs } from '@baton/coordinator/dist/http/unsent-answers';
import { MOST_SESSIONS } from '@baton/coordinator/dist/store/sessions';
import { MOST_PAGE_BYTES } from '@baton/coordinator/dist/store/views/within-bytes';
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
  ['get /jobs/:id/wait', `up to ${SECONDS} s`],
  ['get /events', 'until it is closed'],
  ['get /jobs/:id/events', 'until it is closed'],
]);

function answerOf({ produces, query }: AnyEndpoint): string {
  if (produces === 'text/event-stream') return 'events; 1 MiB unread';
  return query instanceof z.ZodObject && 'cursor' in query.shape ? `${size(MOST_PAGE_BYTES)} a page` : 'one thing';
}

/** What bounds all calls together, and each key's part of it: what, in all, for each key, what happens then. */
export function sharedLimits(): string[][] {
  const { eventStreams, eventStreamsPerKey, parkedPollsPerKey, requestsPerKey, socketsPerAddress, socketsPerKey } =
    DEFAULT_ACCESS;
  return [
    ['calls under way', 'no', String(requestsPerKey), '`429`'],
    ['calls that wait', 'no', String(parkedPollsPerKey), '`429`'],
    ['connections', `${socketsPerAddress} from one address`, String(socketsPerKey), 'closed; `429`'],
    ['streams of events', String(eventStreams), String(eventStreamsPerKey), '`503`; `429`'],
    [
      'bodies in memory',
      size(MOST_BODY_BYTES.inAll),
      size(MOST_BODY_BYTES.perKey),
      'waits unread for 10 s, then `429`',
    ],
    ['answers that are not read', size(MOST_UNSENT_BYTES.inAll), size(MOST_UNSENT_BYTES.perKey), '`503`; `429`'],
    ['sessions of browsers', 'no', String(MOST_SESSIONS), 'the oldest ends'],
    ['operations in the background', 'one at a time', '20', '`429`'],
    ['deliveries under way', '200', '40 of a user, 8 to an endpoint', 'wait for their turn'],
  ];
}

/** Rules for all calls, in sentences. */
export function callRules(): string[] {
  return [
    `Headers come within 10 s and take 16 KiB at most; a whole request comes within 30 s; an idle connection is kept for 75 s. Connections are looked at every 5 s, so one that says nothing is closed after 10 to 15 s, however many there are.`,
    'Who may not call a route is refused before the body is read; with `Expect: 100-continue` before it is sent.',
    'A body counts with what it inflates to, while it streams, and as it is sent too. Public routes take nothing compressed.',
    `A body holds at most ${MOST_CONTAINERS.toLocaleString('en')} lists and objects. One over 64 KiB is parsed in pieces, between which others have their turn.`,
    `An answer is read within ${deadlineMs(0) / 1000} s and a second for each 64,000 bytes, or the connection is closed.`,
    'Lists leave out values of over 4 KiB and name them in `omitted`; `?fields=` brings them whole, and then pages end sooner. A bulk create that names more than ten jobs which exist leaves them out too.',
    'A call that waits ends within five seconds of its key, session or token; a job that was given to it goes back.',
    'Who waits for an answer that is not ready holds no connection to the database.',
  ];
}

/** What runs without being called: what, how often, how much at once. */
export const LOOPS: string[][] = [
  ['timeout monitor', '`BATON_MONITOR_INTERVAL_MS`', '500 jobs a transaction'],
  ['jobs that fall due', '1 s', '1,000 jobs'],
  ['look for work of other loops', '1 s', 'one statement'],
  ['runner registry', '1 s; known runners each 10 s', '10,000 runners; those silent for a week are deleted'],
  ['credentials of calls that wait', '1.5 s, while any waits', 'one statement'],
  ['events', '250 ms, while anybody listens', '500 events'],
  ['deletion of events', '30 s', '5,000 events'],
  ['retention', '60 s', '500 jobs, then three times as long a rest; 500 runners and bulk operations'],
  ['rollups', '10 s', '20,000 facts'],
  ['background operations', 'woken', '500 jobs a transaction'],
  ['webhooks', 'woken', '2,000 deliveries made at once'],
  ['alerts', '30 s', '20 rules'],
];

function size(bytes: number): string {
  return bytes >= 1_048_576 ? `${Math.round((bytes / 1_048_576) * 10) / 10} MiB` : `${bytes / 1024} KiB`;
}
