import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describeSettings } from '@baton/coordinator/dist/config/config';
import { TRANSITIONS, type Verb } from '@baton/coordinator/dist/domain/jobs/transitions';
import { ERRORS } from '@baton/coordinator/dist/errors';
import { describe } from '@baton/coordinator/dist/http/docs/openapi';
import type { ApiDocument } from '@baton/coordinator/dist/http/docs/document';
import { renderLlms } from '@baton/coordinator/dist/http/docs/llms';
import { ENDPOINTS } from '@baton/coordinator/dist/http/server';
import { MOST_CLAIM_BYTES } from '@baton/coordinator/dist/store/jobs';
import { jobStatus, type JobStatus } from '@baton/runner-sdk/protocol';
import { callRules, LOOPS, poolLimits, ROUTE_COLUMNS, routeLimits, sharedLimits } from './limits-page';
import { lifeOfAJob, type Measured } from './lines';
import { renderDashboards } from './monitoring/grafana';
import { renderPrometheusRule } from './monitoring/prometheus-rule';

/**
 * Regenerates the documents that are derived from the code, so that they cannot contradict it. `npm run docs` writes
 * them; with `-- --check` it only lists stale ones, and fails if there are any.
 */
function main(isCheck: boolean, root: string): void {
  const stale = staleDocuments(root);
  for (const [path, text] of stale) {
    if (!isCheck) write(join(root, path), text);
    console.log(`${path}: ${isCheck ? 'stale' : 'written'}`);
  }
  if (isCheck && stale.length > 0) {
    console.error('Run npm run docs and review the changes.');
    process.exitCode = 1;
  } else if (stale.length === 0) {
    console.log('The generated documents are current.');
  }
}

/** Path and expected text of each generated document that differs from it or is missing. */
export function staleDocuments(root: string): [string, string][] {
  return [...renderDocuments(root)].filter(
    ([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== text,
  );
}

/** @param root the project's folder, from which the settings of the runners are read */
export function renderDocuments(root: string): Map<string, string> {
  return new Map([
    ['docs/state-machine.md', renderStateMachine()],
    ['docs/errors.md', renderErrors()],
    ['docs/configuration.md', renderConfiguration(root)],
    ['docs/limits.md', renderLimits()],
    ['docs/cli.md', renderCommandLine()],
    ['docs/architecture.md', renderArchitecture(root)],
    ...renderDashboards(),
    renderPrometheusRule(root),
    ['docs/openapi.json', `${JSON.stringify(describe(ENDPOINTS), null, 2)}\n`],
    ['llms.txt', renderLlms(describe(ENDPOINTS) as unknown as ApiDocument, ERRORS, PAGES)],
  ]);
}

/** The guides that llms.txt lists: README.md, the SDK's README, and every page of docs/. */
export const PAGES = [
  ['README.md', 'Start here', 'install, a first job, a first runner, guarantees, comparison'],
  ['docs/protocol.md', 'Runner protocol', 'what a runner in any language sends, and what each answer means'],
  [
    'docs/conformance.md',
    'Conformance',
    'cases as data, against which a runner or a coordinator in any language is tested',
  ],
  ['runner-sdk/README.md', 'TypeScript SDK', 'clients, runners, handlers, tests'],
  ['docs/cli.md', 'Command line', 'every command, option and exit code of `baton`'],
  ['docs/runners.md', 'Ready-made runners', 'which to take, how to write and to test one'],
  ['docs/objects.md', 'Large arguments and results', 'kept in S3 by reference, with the SDK or curl'],
  ['docs/aws.md', 'AWS', 'SQS, Lambda and S3: what stands between, and the rights it needs'],
  ['docs/types.md', 'Types as a contract', 'JSON Schemas that runners publish, and queues that check arguments'],
  ['docs/queues.md', 'Queues', 'order, limits, pauses, why a job waits, autoscaling'],
  ['docs/coming-from.md', 'Coming from another queue', 'BullMQ, pg-boss, graphile-worker, SQS and Agenda beside Baton'],
  [
    'docs/batches.md',
    'Batches',
    'many jobs handled as one, and jobs that run when all have ended; lists cut into parts',
  ],
  ['docs/workflows.md', 'Workflows', 'graphs of jobs that hand their results on, gates, retry from what failed'],
  ['docs/dashboard.md', 'Dashboard', 'the pages of the dashboard, signing in, and what each role sees'],
  ['docs/schedules.md', 'Schedules', 'jobs by cron expressions in time zones: overlap, catching up, history'],
  ['docs/watching.md', 'Watching', 'progress, events, dead letters, retention, analytics, Prometheus'],
  ['docs/webhooks.md', 'Webhooks', 'events and job callbacks over HTTP'],
  ['docs/transactions.md', 'Jobs in your own transaction', 'create a job by SQL, pg or Prisma'],
  ['docs/operating.md', 'Operating', 'several coordinators, PostgreSQL, backups, upgrades'],
  ['docs/deploy.md', 'Deploying', 'images, compose, Kubernetes, monitoring, proxies'],
  ['docs/install.md', 'Installing without containers', 'systemd units, sandboxed'],
  ['docs/database-roles.md', 'Database roles', 'least privilege in PostgreSQL'],
  ['docs/configuration.md', 'Configuration', 'every setting'],
  ['docs/limits.md', 'Limits', 'what one call can cost, and the share of each key'],
  ['docs/errors.md', 'Errors', 'every error code and what to do about it'],
  ['docs/state-machine.md', 'State machine', 'every transition of a job'],
  ['docs/architecture.md', 'Architecture', 'how it is built, and why'],
  ['docs/threat-model.md', 'Threat model', 'what is protected against whom'],
  ['docs/benchmarks.md', 'Benchmarks', 'measured beside other systems'],
  ['docs/glossary.md', 'Glossary', 'one word for each idea'],
].map(([url = '', title = '', about = '']) => ({ url, title, about }));

const MEANINGS: Record<JobStatus, string> = {
  blocked: 'waits for other jobs',
  pending: 'waits for its `runAt`, then for a runner; also after a retry or a snooze',
  running: 'leased to one runner',
  completed: 'finished with a result',
  failed: 'failed for good: a dead letter, kept until it is retried or deleted',
  cancelled: 'cancelled by a call, because it expired, or because a job that it depends on did not complete',
};

const DOORS: Record<Verb, string> = {
  create: '`POST /jobs`, `POST /jobs/bulk`',
  unblock: 'the end of the last job, or of the workflow, that it waits for',
  claim: '`POST /jobs/claim`, or with `claim` in `POST /jobs/complete`',
  complete: '`POST /jobs/:id/complete`, `POST /jobs/complete`, with `outcome: "completed"`',
  fail: 'the same calls with `outcome: "failed"`, and the timeout monitor',
  release: '`POST /jobs/:id/release`',
  cancel: '`POST /jobs/:id/cancel`, `DELETE /jobs/:id`, `POST /jobs/cancel`',
  expire: 'the timeout monitor',
  retry: '`POST /jobs/:id/retry`, `POST /jobs/retry`',
  edit: '`PATCH /jobs/:id`, `POST /jobs/:id/run-now`',
  decide: 'the gate is opened or refused by somebody, or by a link',
  remove: '`DELETE /jobs/:id?purge=true`',
};

const ARCHITECTURE = 'docs/architecture.md';
const LIFE_BEGINS = '<!-- Generated by npm run docs from scripts/lines.ts. Do not edit. -->';
const LIFE_ENDS = '<!-- End of what is generated. -->';
/** How far a number may be off before the table is regenerated; otherwise every commit would change it. */
const LIFE_TOLERANCE = 0.05;

/** The measurements before the parts were named and divided, in lines before formatting. */
const BEFORE = { all: { lines: 4641, files: 48 }, core: { lines: 1646, files: 15 } };

/** The existing page, with the current numbers of the life of a job. */
function renderArchitecture(root: string): string {
  const page = readFileSync(join(root, ARCHITECTURE), 'utf8');
  const [head, rest] = page.split(`${LIFE_BEGINS}\n`);
  const [printed, tail] = (rest ?? '').split(LIFE_ENDS);
  if (head === undefined || printed === undefined || tail === undefined)
    throw new Error(`${ARCHITECTURE} has no place for the figures of the life of a job`);
  const { rooms, all, core } = lifeOfAJob(root);
  const rows = [...rooms, all, core];
  if (isNear(printed, rows)) return page;
  return `${head}${LIFE_BEGINS}\n\n${table(
    ['', 'before: lines', 'files', 'now: lines', 'files'],
    [
      ...rooms.map((room) => [room.name, '', '', ...figuresOf(room)]),
      [all.name, ...figuresOf(BEFORE.all), ...figuresOf(all)],
      [core.name, ...figuresOf(BEFORE.core), ...figuresOf(core)],
    ],
  )}\n\n${LIFE_ENDS}${tail}`;
}

function figuresOf({ lines, files }: Pick<Measured, 'lines' | 'files'>): string[] {
  return [lines.toLocaleString('en-US'), String(files)];
}

/** Whether the existing table has these rows, with numbers close enough. */
function isNear(printed: string, rows: Measured[]): boolean {
  return rows.every(({ name, lines, files }) => {
    const cells = printed
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .find((line) => line[1] === name);
    const [printedLines, printedFiles] = [cells?.[4], cells?.[5]].map((cell) => Number(cell?.replaceAll(',', '')));
    return (
      Math.abs((printedLines ?? NaN) - lines) <= lines * LIFE_TOLERANCE &&
      Math.abs((printedFiles ?? NaN) - files) <= files * LIFE_TOLERANCE
    );
  });
}

function renderStateMachine(): string {
  const unreachable = jobStatus.options.filter(
    (status) => !TRANSITIONS.some(({ from, to }) => to === status && from !== status),
  );
  return page('The life of a job', 'coordinator/domain/jobs/transitions.ts', [
    'A job has one of six statuses. The diagram shows every transition. Each is a single SQL statement whose `WHERE` clause checks the expected status and lease token.',
    '```mermaid\nstateDiagram-v2\n' +
      renderArrows()
        .map((arrow) => `  ${arrow}`)
        .join('\n') +
      '\n```',
    table(
      ['status', 'the job'],
      jobStatus.options.map((status) => [code(status), MEANINGS[status]]),
    ),
    ...unreachable.map((status) => `No transition of this version leads to ${code(status)}; the status is reserved.`),
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
    'A heartbeat extends the lease of a running job and does not change its status. A job that is inserted as `running` for a waiting claim emits the events of a create, then of a claim.',
    '## What causes each transition',
    table(
      ['verb', 'caused by'],
      Object.entries(DOORS).map(([verb, door]) => [code(verb), door]),
    ),
  ]);
}

/** One arrow for each pair of statuses, with all its verbs. */
function renderArrows(): string[] {
  const verbs = new Map<string, string[]>();
  for (const { verb, from, to } of TRANSITIONS) {
    if (from === to) continue;
    const arrow = `${from ?? '[*]'} --> ${to ?? '[*]'}`;
    verbs.set(arrow, [...(verbs.get(arrow) ?? []), verb]);
  }
  return [...verbs].map(([arrow, names]) => `${arrow}: ${[...new Set(names)].join(', ')}`);
}

const SDK_CODES: [string, string][] = [
  ['unreachable', 'No coordinator responded within the time budget of the call.'],
  [
    'unexpected_reply',
    'The response did not come from a Baton coordinator: check `COORDINATOR_URL` and any proxy in between.',
  ],
  ['invalid_arguments', 'The arguments do not match the schema of the definition; nothing was sent.'],
  ['invalid_result', 'The job completed, but its result does not match the schema of the definition.'],
  ['wait_timeout', 'The job had not finished when the wait timed out. The job is not affected.'],
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
    "Every error is `application/problem+json` (RFC 9457). Programs should rely on `code`, whose meaning never changes. `detail` is for people and may change. `errors`, if present, lists each fault as `{path, message}`. `requestId` equals the `X-Request-Id` header of the response and the `requestId` of the coordinator's log line.",
    '```json\n' + JSON.stringify(example, null, 2) + '\n```',
    'In a bulk response, a rejected item is `{code, detail, errors?}` at its position.',
    table(
      ['code', 'status', 'meaning', 'retryable', 'what to do'],
      Object.entries(ERRORS).map(([name, { status, title, retryable, remedy }]) => [
        code(name),
        String(status),
        title,
        retryable ? 'yes' : 'no',
        remedy,
      ]),
    ),
    '"Retryable" tells whether the same call, unchanged, may succeed later. `429` and `503` have a `Retry-After` header, in seconds.',
    '## Codes of the SDK',
    'A `BatonError` of the SDK has one of the codes above, or one of these. Its `status` is 0 when there was no response.',
    table(
      ['code', 'meaning'],
      SDK_CODES.map(([name, meaning]) => [code(name), meaning]),
    ),
  ]);
}

/** The settings that `runner-sdk/runner/runner-config.ts` reads. */
const RUNNER_SETTINGS: [string, string, string][] = [
  [
    '`RUNNER_CONCURRENCY`',
    '`1-10`',
    'How many jobs run at once: an integer up to 10000, or a range such as `1-20` within which it adapts to the load. Option `concurrency`.',
  ],
  [
    '`RUNNER_GRACE_MS`',
    '`20000`',
    'How long handlers may take to finish when the runner stops, 0 to 86400000. Option `graceMs`.',
  ],
  [
    '`RUNNER_LEASE_MS`',
    '`30000`',
    'How long a job stays leased without a heartbeat, 1000 to 600000. Option `leaseMs`.',
  ],
  ['`RUNNER_QUEUES`', 'all', 'The queues to claim from, separated by commas. Option `queues`.'],
  [
    '`RUNNER_LABELS`',
    'none',
    'Labels of the runner, for jobs that require or prefer them: `region=eu,gpu=true,memoryGb=64`. Option `labels`.',
  ],
  [
    '`RUNNER_LOG_LEVEL`',
    '`info`, in development `debug`',
    '`debug`, `info`, `warn`, `error` or `silent`; the [README](../runner-sdk/README.md#runner-options) describes the levels. Option `logLevel`.',
  ],
];

function renderLimits(): string {
  return page('Limits', 'coordinator/http/core/limits.ts and the routes', [
    'How much one call can cost, what callers share, and what each limit does when it is reached. Sizes assume the default `BATON_MAX_PAYLOAD_BYTES`; the body limit of a create is about six times that, because JSON escapes can make arguments and metadata six times as long. Each coordinator counts separately.',
    '## Every call',
    callRules()
      .map((rule) => `- ${rule}`)
      .join('\n'),
    '## What callers share',
    table(['resource', 'in total', 'per key', 'above the limit'], sharedLimits()),
    'Some of these are settings: [configuration.md](configuration.md).',
    '## Each route',
    'At most, for one call. Memory: the response, and about four times the body while it is parsed. Processor: the JSON that is read and written, some 10 ms at a time with other requests in between; most calls need far less, because most objects are small. Rows: how many one call changes or returns; `batches` is any number, in transactions of so many. Connections: the pools that its statements use, one connection at a time. Who waits: for whom these connections are, when all are busy. What stops it: beside its own limits, the end of its key, and the time for its body and response above.',
    table(ROUTE_COLUMNS, routeLimits(ENDPOINTS)),
    `A claim returns at most 500 jobs, and ${MOST_CLAIM_BYTES / 1_048_576} MiB of their arguments, metadata and checkpoints, but at least one job; it is the largest response. A key whose responses stay unread above its limit gets \`429\`.`,
    '## Connections to the database',
    table(['connections', 'of 16', 'who waits when they are busy', 'what ends a statement'], poolLimits()),
    '## Background loops',
    'They use the `general` connections, of which callers leave them one.',
    table(['loop', 'interval', 'batch'], LOOPS),
  ]);
}

/** Generated by the program itself: importing it would make every start compile the command line too. */
function renderCommandLine(): string {
  const program = join(dirname(require.resolve('@baton/cli/package.json')), 'dist', 'main.js');
  const reference = execFileSync(process.execPath, [program, 'reference'], { encoding: 'utf8' }).trim();
  return page('The command line', 'cli/program.ts', [
    '`baton` runs, watches and operates Baton from a terminal or a script. It speaks only the public HTTP API. [Its README](../cli/README.md) tells how to install it and how to begin.',
    reference,
  ]);
}

function renderConfiguration(root: string): string {
  return page('Configuration', 'coordinator/config/config.ts', [
    'All settings are environment variables, read once at startup. An empty variable counts as not set. An invalid value ends the startup with one line that names the variable, the fault and the allowed values. So does an unknown variable that begins with `BATON_`, because a misspelt setting would silently keep its default.',
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
          'none, required',
          'URL of the coordinator, or several separated by commas: when one cannot be reached, the next is used. The option `coordinatorUrl` takes precedence.',
        ],
        [
          '`RUNNER_KEY`',
          'none, required',
          'An API key of role `runner`; for a `Client`, a key that may create jobs. The option `apiKey` takes precedence.',
        ],
        ...RUNNER_SETTINGS,
        [
          '`HTTP_PROXY`',
          'none',
          'The proxy for coordinators with `http://` URLs (forwarding); `http_proxy` takes precedence.',
        ],
        [
          '`HTTPS_PROXY`',
          '`HTTP_PROXY`',
          'The proxy for coordinators with `https://` URLs (tunnelling); also `https_proxy`.',
        ],
        [
          '`NO_PROXY`',
          'none',
          'Hosts to call directly, separated by commas: names, which include their subdomains, with an optional port; `*` for all. Also `no_proxy`.',
        ],
      ],
    ),
    ...runnerSettings(root),
  ]);
}

/** The settings in the READMEs of the runners, first those of the kit on which they are built, then of the bridges. */
function runnerSettings(root: string): string[] {
  const named = (folder: string): string[] =>
    readdirSync(join(root, folder))
      .filter((name) => existsSync(join(root, folder, name, 'README.md')))
      .sort();
  const section = (title: string, path: string): string[] => [
    title,
    `From [its README](../${path}).`,
    settingsTable(path, root),
  ];
  return [
    ...section('## Every runner of the kit', 'runners/kit/README.md'),
    ...named('runners')
      .filter((name) => name !== 'kit')
      .flatMap((name) => section(`## The ${name} runner`, `runners/${name}/README.md`)),
    ...named('bridges').flatMap((name) => section(`## The ${name} bridge`, `bridges/${name}/README.md`)),
  ];
}

/** The table under the heading "Settings"; links within the README lead to it. */
function settingsTable(path: string, root: string): string {
  const [, section = ''] = readFileSync(join(root, path), 'utf8').split(/^## Settings$/m);
  const rows =
    section
      .split(/^## /m)[0]
      ?.split('\n')
      .filter((line) => line.startsWith('|')) ?? [];
  if (rows.length < 3) throw new Error(`${path} has no table under the heading "Settings"`);
  return rows.join('\n').replaceAll('](#', `](../${path}#`);
}

function page(title: string, source: string, parts: string[]): string {
  return (
    [`# ${title}`, `<!-- Generated by npm run docs from ${source}. Do not edit. -->`, ...parts].join('\n\n') + '\n'
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
