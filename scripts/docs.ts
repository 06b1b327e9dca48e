import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describeSettings } from '@baton/coordinator/dist/config';
import { TRANSITIONS, type Verb } from '@baton/coordinator/dist/domain/jobs/transitions';
import { ERRORS } from '@baton/coordinator/dist/errors';
import { describe } from '@baton/coordinator/dist/http/openapi';
import type { ApiDocument } from '@baton/coordinator/dist/http/reference/document';
import { renderLlms } from '@baton/coordinator/dist/http/reference/llms';
import { ENDPOINTS } from '@baton/coordinator/dist/http/server';
import { type ErrorCode, jobStatus, type JobStatus } from '@baton/runner-sdk/protocol';
import { callRules, LOOPS, routeLimits, sharedLimits } from './limits-page';

/**
 * Prints the documents that say again what the code says, so that they never say something else.
 * `npm run docs` writes them; with `-- --check` it only tells which are stale, and fails if any is.
 */
function main(isCheck: boolean, root: string): void {
  const stale = staleDocuments(root);
  for (const [path, text] of stale) {
    if (!isCheck) write(join(root, path), text);
    console.log(`${path}: ${isCheck ? 'stale' : 'written'}`);
  }
  if (isCheck && stale.length > 0) {
    console.error('Run npm run docs, and look at what it changed.');
    process.exitCode = 1;
  } else if (stale.length === 0) {
    console.log('The generated documents are current.');
  }
}

/** Path and wanted text of each generated document that does not hold it. */
export function staleDocuments(root: string): [string, string][] {
  return [...renderDocuments(root)].filter(
    ([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== text,
  );
}

/** @param root the project's folder, where the runners' own tables of settings are read */
export function renderDocuments(root: string): Map<string, string> {
  return new Map([
    ['docs/state-machine.md', renderStateMachine()],
    ['docs/errors.md', renderErrors()],
    ['docs/configuration.md', renderConfiguration(readFileSync(join(root, QUOTES_README), 'utf8'))],
    ['docs/limits.md', renderLimits()],
    ['docs/openapi.json', `${JSON.stringify(describe(ENDPOINTS), null, 2)}\n`],
    ['llms.txt', renderLlms(describe(ENDPOINTS) as unknown as ApiDocument, ERRORS, PAGES)],
  ]);
}

/** What there is to read in the repository; a test holds the list against the folder. */
export const PAGES = [
  ['README.md', 'Start here', 'install, a first job, a first runner, guarantees, comparison'],
  ['docs/protocol.md', 'Runner protocol', 'what a runner in any language sends, and what each answer means'],
  ['runner-sdk/README.md', 'TypeScript SDK', 'clients, runners, handlers, tests'],
  ['docs/queues.md', 'Queues', 'order, limits, pauses, why a job waits, autoscaling'],
  ['docs/watching.md', 'Watching', 'progress, events, dead letters, retention, analytics, Prometheus'],
  ['docs/webhooks.md', 'Webhooks', 'events and job callbacks over HTTP'],
  ['docs/operating.md', 'Operating', 'several coordinators, PostgreSQL, backups, upgrades'],
  ['docs/database-roles.md', 'Database roles', 'least privilege in PostgreSQL'],
  ['docs/configuration.md', 'Configuration', 'every setting'],
  ['docs/errors.md', 'Errors', 'every error code and what to do about it'],
  ['docs/state-machine.md', 'State machine', 'every transition of a job'],
  ['docs/architecture.md', 'Architecture', 'how it is built, and why'],
  ['docs/threat-model.md', 'Threat model', 'what is protected against whom'],
  ['docs/benchmarks.md', 'Benchmarks', 'measured beside other systems'],
  ['docs/glossary.md', 'Glossary', 'one word for each idea'],
].map(([url = '', title = '', about = '']) => ({ url, title, about }));

const QUOTES_README = 'runners/quotes/README.md';

const MEANINGS: Record<JobStatus, string> = {
  blocked: 'waits for other jobs',
  pending: 'waits for its `runAt`, and then for a runner; a retry, a snooze and a job for later wait here too',
  running: 'is in the hand of one runner, under one lease',
  completed: 'done; its result is kept',
  failed: 'given up; it is kept until somebody retries or deletes it',
  cancelled: 'called off, by somebody or because it expired',
};

const DOORS: Record<Verb, string> = {
  create: '`POST /jobs`, `POST /jobs/bulk`',
  claim: '`POST /jobs/claim`, or with `claim` in `POST /jobs/complete`',
  complete: '`POST /jobs/:id/complete`, `POST /jobs/complete`, with `outcome: "completed"`',
  fail: 'the same calls with `outcome: "failed"`, and the timeout monitor',
  release: '`POST /jobs/:id/release`',
  cancel: '`POST /jobs/:id/cancel`, `DELETE /jobs/:id`, `POST /jobs/cancel`',
  expire: 'the timeout monitor',
  retry: '`POST /jobs/:id/retry`, `POST /jobs/retry`',
  edit: '`PATCH /jobs/:id`, `POST /jobs/:id/run-now`',
  remove: '`DELETE /jobs/:id?purge=true`',
};

function renderStateMachine(): string {
  const unreachable = jobStatus.options.filter(
    (status) => !TRANSITIONS.some(({ from, to }) => to === status && from !== status),
  );
  return page('The life of a job', 'coordinator/domain/jobs/transitions.ts', [
    'A job has one of six statuses. These are all the ways between them; there are no others, and each is one guarded statement that names in its `WHERE` what it expects.',
    '```mermaid\nstateDiagram-v2\n' +
      renderArrows()
        .map((arrow) => `  ${arrow}`)
        .join('\n') +
      '\n```',
    table(
      ['status', 'the job'],
      jobStatus.options.map((status) => [code(status), MEANINGS[status]]),
    ),
    ...unreachable.map(
      (status) => `Nothing in this version makes a job ${code(status)}; the status is there for what is to come.`,
    ),
    '## Every transition',
    table(
      ['verb', 'from', 'to', 'when'],
      TRANSITIONS.map(({ verb, from, to, when }) => [
        code(verb),
        from === null ? '(new)' : code(from),
        to === null ? '(gone)' : code(to),
        when,
      ]),
    ),
    'A heartbeat extends the lease of a running job and moves nothing. A job that is handed to a waiting claim as it is created is, to the outside, created and then claimed.',
    '## Where each verb comes from',
    table(
      ['verb', 'comes from'],
      Object.entries(DOORS).map(([verb, door]) => [code(verb), door]),
    ),
  ]);
}

/** One arrow for each pair of statuses, with all verbs that go that way. */
function renderArrows(): string[] {
  const verbs = new Map<string, string[]>();
  for (const { verb, from, to } of TRANSITIONS) {
    if (from === to) continue;
    const arrow = `${from ?? '[*]'} --> ${to ?? '[*]'}`;
    verbs.set(arrow, [...(verbs.get(arrow) ?? []), verb]);
  }
  return [...verbs].map(([arrow, names]) => `${arrow}: ${[...new Set(names)].join(', ')}`);
}

/** Codes that stand in the contract, but that nothing answers with yet. */
export const RESERVED: readonly ErrorCode[] = ['dependency_cycle'];

const SDK_CODES: [string, string][] = [
  ['unreachable', 'No answer came from any of the coordinators within the budget of the call.'],
  [
    'unexpected_reply',
    'What answered is not a Baton coordinator: look at `COORDINATOR_URL`, and at proxies in between.',
  ],
  ['invalid_arguments', 'The arguments do not fit their definition; nothing was sent.'],
  ['invalid_result', 'The job completed, but its result does not fit its definition.'],
  ['wait_timeout', 'The job had not finished when the wait was over. It goes on.'],
];

function renderErrors(): string {
  const example = {
    type: 'urn:baton:error:not_found',
    title: ERRORS.not_found.title,
    status: ERRORS.not_found.status,
    detail: 'There is no job with id 01936f5e-7b1c-7d2a-9c3e-5f4a6b7c8d9e.',
    code: 'not_found',
    requestId: '0b7e5a52-3c52-4c3b-9d3e-0f6f0f6b1a11',
  };
  return page('Errors', 'coordinator/errors.ts', [
    "Every error is `application/problem+json` (RFC 9457). `code` is the word to program against: it never changes its meaning. `detail` is for people and may change. `errors`, where it is there, lists each fault as `{path, message}`. `requestId` is also the answer's `X-Request-Id`, and finds the coordinator's log line.",
    '```json\n' + JSON.stringify(example, null, 2) + '\n```',
    'In a bulk answer a refused item stands as `{code, detail, errors?}` in its place.',
    table(
      ['code', 'status', 'means', 'again?', 'what to do'],
      Object.entries(ERRORS).map(([name, { status, title, retryable, remedy }]) => [
        code(name),
        String(status),
        title,
        retryable ? 'yes' : 'no',
        remedy,
      ]),
    ),
    '"again?" says whether the same call, unchanged, may succeed later. `429` and `503` carry `Retry-After`, in seconds.',
    `${RESERVED.map(code).join(' and ')} are reserved: nothing in this version answers with them.`,
    '## Codes of the SDK',
    'A `BatonError` of the SDK carries one of the codes above, or one of its own, with `status` 0 when there was no answer.',
    table(
      ['code', 'means'],
      SDK_CODES.map(([name, meaning]) => [code(name), meaning]),
    ),
  ]);
}

/** As `runner-sdk/runner-config.ts` reads them. */
const RUNNER_SETTINGS: [string, string, string][] = [
  [
    '`RUNNER_CONCURRENCY`',
    '`1-10`',
    'How many jobs run at once: a whole number up to 10000, or a range such as `1-20` within which it grows and shrinks. Option `concurrency`.',
  ],
  [
    '`RUNNER_GRACE_MS`',
    '`20000`',
    'How long handlers may finish when the runner stops, 0 to 86400000. Option `graceMs`.',
  ],
  [
    '`RUNNER_LEASE_MS`',
    '`30000`',
    'How long a job stays leased without a heartbeat, 1000 to 600000. Option `leaseMs`.',
  ],
  ['`RUNNER_QUEUES`', 'all', 'The queues it takes jobs from, separated by commas. Option `queues`.'],
  [
    '`RUNNER_LABELS`',
    'none',
    'What it has, for jobs that require it: `region=eu,gpu=true,memoryGb=64`. Option `labels`.',
  ],
  [
    '`RUNNER_LOG_LEVEL`',
    '`info`, in development `debug`',
    '`debug`, `info`, `warn`, `error` or `silent`; the [README](../runner-sdk/README.md#runner-options) says what each adds. Option `logLevel`.',
  ],
];

function renderLimits(): string {
  return page('Limits', 'coordinator/http/limits.ts and the routes', [
    'What one call can cost, who else waits for it, and what stops it. Sizes are with the default `BATON_MAX_PAYLOAD_BYTES`; what a job takes as it is sent is six times that, because arguments and metadata may be written with escapes. Each coordinator counts for itself.',
    '## Every call',
    callRules()
      .map((rule) => `- ${rule}`)
      .join('\n'),
    '## What callers share',
    table(['what', 'in all', 'of one key', 'then'], sharedLimits()),
    'Some of these are settings: [configuration.md](configuration.md).',
    '## Each route',
    table(['route', 'who', 'body', 'answer', 'waits'], routeLimits(ENDPOINTS)),
    'A claim may bring 500 jobs with what they carry; it is the largest answer, and a key whose answers are not read gets no more.',
    '## What runs by itself',
    table(['what', 'how often', 'at once'], LOOPS),
  ]);
}

function renderConfiguration(quotesReadme: string): string {
  return page('Configuration', 'coordinator/config.ts', [
    'Everything is set by environment variables and read once, at the start. An empty variable counts as one that is not set. A value that cannot be used stops the start with one line that names the variable, its fault and what is allowed; so does an unknown variable that begins with `BATON_`, because a misspelt setting would silently be its default.',
    '## The coordinator',
    table(
      ['variable', 'default', 'allowed', 'meaning'],
      describeSettings().map(({ name, default: fallback, allowed, description }) => [
        code(name),
        fallback === '' ? '' : code(fallback),
        allowed,
        description,
      ]),
    ),
    '## Every runner that uses the SDK',
    table(
      ['variable', 'default', 'meaning'],
      [
        [
          '`COORDINATOR_URL`',
          'none, needed',
          'The coordinator; several with commas, the next is tried when one is gone. The option `coordinatorUrl` comes first.',
        ],
        [
          '`RUNNER_KEY`',
          'none, needed',
          'An API key of role `runner`; for a `Client`, the key of whoever submits. The option `apiKey` comes first.',
        ],
        ...RUNNER_SETTINGS,
        [
          '`HTTP_PROXY`',
          'none',
          'The proxy to coordinators at `http://` URLs, to which requests are forwarded; also `http_proxy`, which comes first.',
        ],
        [
          '`HTTPS_PROXY`',
          '`HTTP_PROXY`',
          'The proxy to coordinators at `https://` URLs, through which connections are tunnelled; also `https_proxy`.',
        ],
        [
          '`NO_PROXY`',
          'none',
          'Hosts that are called directly: names, which mean their subdomains too, with a port if wanted, and commas between them; `*` for all. Also `no_proxy`.',
        ],
      ],
    ),
    '## The quotes runner',
    `From [its README](../${QUOTES_README}).`,
    settingsTable(quotesReadme),
  ]);
}

/** The table under the heading "Settings". */
function settingsTable(readme: string): string {
  const [, section = ''] = readme.split(/^## Settings$/m);
  const rows =
    section
      .split(/^## /m)[0]
      ?.split('\n')
      .filter((line) => line.startsWith('|')) ?? [];
  if (rows.length < 3) throw new Error(`${QUOTES_README} has no table under the heading "Settings"`);
  return rows.join('\n');
}

function page(title: string, source: string, parts: string[]): string {
  return (
    [`# ${title}`, `<!-- Printed by npm run docs from ${source}. Change that, not this. -->`, ...parts].join('\n\n') +
    '\n'
  );
}

function table(head: string[], rows: string[][]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function code(text: string): string {
  return `\`${text}\``;
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

if (require.main === module) main(process.argv.includes('--check'), join(__dirname, '..', '..'));
