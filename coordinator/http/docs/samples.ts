import { type ApiDocument, type Route } from './document';
import { exampleBody, exampleOf } from './example';

/** The coordinator's URL in samples; the page's script replaces it with the URL from which it was loaded. */
export const SAMPLE_URL = 'http://127.0.0.1:3001';

export interface Sample {
  language: string;
  title: string;
  code: string;
}

interface Request {
  route: Route;
  /** With values in place of parameters. */
  url: string;
  path: Record<string, string>;
  body: unknown;
  isStream: boolean;
}

/** How to call the operation in each language; every sample works once the environment has a key. */
export function samplesOf(route: Route, document: ApiDocument): Sample[] {
  const request = requestOf(route, document);
  return [
    { language: 'shell', title: 'curl', code: curlOf(request) },
    { language: 'typescript', title: 'TypeScript', code: typescriptOf(request) },
    { language: 'python', title: 'Python', code: pythonOf(request) },
  ];
}

function requestOf(route: Route, document: ApiDocument): Request {
  const value = (name: string): string => {
    const parameter = route.parameters.find((one) => one.name === name);
    return String(parameter?.example ?? exampleOf(parameter?.schema ?? {}, document, true, name));
  };
  const path = Object.fromEntries([...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => [name, value(name)]));
  const query = route.parameters
    .filter((one) => one.in === 'query' && one.required)
    .map(({ name }) => `${name}=${encodeURIComponent(value(name))}`);
  const filled = route.path.replace(/\{(\w+)\}/g, (_all, name: string) => encodeURIComponent(value(name)));
  const url = `${SAMPLE_URL}${filled}${query.length === 0 ? '' : `?${query.join('&')}`}`;
  const isStream = Object.values(route.responses).some(({ content = {} }) => 'text/event-stream' in content);
  return { route, url, path, body: exampleBody(route, document), isStream };
}

function isPublic({ security }: Route): boolean {
  return security !== undefined;
}

function curlOf({ route, url, body, isStream }: Request): string {
  const isDefault = route.method === 'get' || (route.method === 'post' && body !== null);
  const verb = `${isStream ? '-N ' : ''}${isDefault ? '' : `-X ${route.method.toUpperCase()} `}`;
  const lines = [`curl ${verb}"${url}"`];
  if (!isPublic(route)) lines.push('-H "Authorization: Bearer $KEY"');
  if (body !== null) lines.push("-H 'Content-Type: application/json'", `-d '${shown(body).replaceAll("'", "'\\''")}'`);
  return lines.join(' \\\n  ');
}

/** Short values on one line, long ones on several. */
function shown(value: unknown): string {
  const line = JSON.stringify(value);
  return line.length <= 56 ? line : JSON.stringify(value, null, 2);
}

/** How the SDK's client calls an operation. Operations without one are called with fetch. */
const CLIENT: Record<string, (request: Request) => string> = {
  createJob: ({ body }) => {
    const { type, arguments: args, ...options } = body as Record<string, unknown>;
    return `const job = await client.create(${literal(type)}, ${literal(args)}, ${literal(options)});\nconst result = await client.wait(job);`;
  },
  getJob: ({ path }) => `const job = await client.get(${literal(path['id'])});`,
  listJobs: () => "const { items, nextCursor } = await client.list({ status: ['failed'], queue: 'mails' });",
  listJobAttempts: ({ path }) => `const attempts = await client.attempts(${literal(path['id'])});`,
  listJobLogs: ({ path }) => `const { items } = await client.logs(${literal(path['id'])}, { level: 'warn' });`,
  explainJob: ({ path }) => `const { reasons } = await client.explain(${literal(path['id'])});`,
  waitForJob: ({ path }) => `const result = await client.wait(${literal(path['id'])});`,
  cancelJob: ({ path, body }) =>
    `const job = await client.cancel(${literal(path['id'])}, ${literal((body as { reason?: string }).reason)});`,
  cancelOrDeleteJob: ({ path }) => `const job = await client.cancel(${literal(path['id'])});`,
  retryJob: ({ path }) => `const job = await client.retry(${literal(path['id'])});`,
  runJobNow: ({ path }) => `const job = await client.runNow(${literal(path['id'])});`,
  updateJob: ({ path, body }) => `const job = await client.edit(${literal(path['id'])}, ${literal(body)});`,
  cancelJobs: () => "const count = await client.cancelAll({ queue: 'mails', status: 'pending' });",
  retryJobs: () => "const count = await client.retryAll({ queue: 'mails', status: 'failed' });",
  purgeJobs: () => "const count = await client.purgeAll({ queue: 'mails', status: 'completed' });",
  prioritiseJobs: () => "const count = await client.prioritiseAll({ queue: 'mails', status: 'pending' }, 'high');",
  getBulkOperation: ({ path }) => `const operation = await client.bulkOperation(${literal(path['id'])});`,
  cancelBulkOperation: ({ path }) => `const operation = await client.cancelBulkOperation(${literal(path['id'])});`,
  listQueues: () => 'const queues = await client.queues();',
  getQueue: ({ path }) => `const queue = await client.queue(${literal(path['name'])});`,
  setQueue: ({ path, body }) => `const queue = await client.setQueue(${literal(path['name'])}, ${literal(body)});`,
  pauseQueue: ({ path, body }) => `const queue = await client.pauseQueue(${literal(path['name'])}, ${literal(body)});`,
  resumeQueue: ({ path }) => `const queue = await client.resumeQueue(${literal(path['name'])});`,
  purgeQueue: ({ path }) => `const count = await client.purgeQueue(${literal(path['name'])});`,
  getQueueScale: ({ path }) => `const { wanted } = await client.scale(${literal(path['name'])});`,
  listRunners: () => 'const { items } = await client.runners();',
  drainRunner: ({ path }) => `const runner = await client.drainRunner(${literal(path['id'])});`,
  resumeRunner: ({ path }) => `const runner = await client.resumeRunner(${literal(path['id'])});`,
  getStats: () => 'const stats = await client.stats();',
  getAnalytics: () => "const { items, series } = await client.analytics({ by: 'type', range: '24h' });",
  getHealth: () => 'const health = await client.health();',
  createApiKey: ({ body }) => `const { key } = await client.apiKeys.create(${literal(body)});`,
  listApiKeys: () => 'const { items } = await client.apiKeys.list();',
  revokeApiKey: ({ path }) => `const revoked = await client.apiKeys.revoke(${literal(path['id'])});`,
};

/** Calls that the SDK's runner makes itself. */
const OF_RUNNERS = new Set([
  'claimJobs',
  'completeJob',
  'completeJobs',
  'releaseJob',
  'sendHeartbeat',
  'sendHeartbeats',
]);

function typescriptOf(request: Request): string {
  const { route } = request;
  if (OF_RUNNERS.has(route.operationId))
    return `import { Runner } from '@baton/runner-sdk';

// A runner of the SDK claims jobs, sends heartbeats and reports outcomes by itself.
const runner = new Runner({ coordinatorUrl: '${SAMPLE_URL}', apiKey: process.env.RUNNER_KEY ?? '' });
runner.handle('send-mail', async (args, job) => {
  job.progress(40, 'connected to the mail server');
  return { messageId: '<1017@example.com>' };
});
await runner.start();`;
  const call = Object.hasOwn(CLIENT, route.operationId) ? CLIENT[route.operationId] : undefined;
  if (call === undefined) return fetchOf(request);
  return `import { Client } from '@baton/runner-sdk';

const client = new Client({ coordinatorUrl: '${SAMPLE_URL}', apiKey: process.env.KEY ?? '' });
${call(request)}
await client.close();`;
}

function fetchOf({ route, url, body, isStream }: Request): string {
  const headers = [
    ...(isPublic(route) ? [] : [`Authorization: \`Bearer \${process.env.KEY}\``]),
    ...(body === null ? [] : ["'Content-Type': 'application/json'"]),
  ];
  const options = [
    ...(route.method === 'get' ? [] : [`method: '${route.method.toUpperCase()}'`]),
    ...(headers.length === 0 ? [] : [`headers: { ${headers.join(', ')} }`]),
    ...(body === null ? [] : [`body: JSON.stringify(${literal(body, 1)})`]),
  ];
  const given = options.length === 0 ? '' : `, {\n${options.map((option) => `  ${option},\n`).join('')}}`;
  const read = isStream
    ? `for await (const chunk of answer.body ?? []) process.stdout.write(chunk);`
    : `console.log(answer.status, await answer.${isJson(route) ? 'json' : 'text'}());`;
  return `const answer = await fetch('${url}'${given});\n${read}`;
}

function isJson({ responses }: Route): boolean {
  return Object.values(responses).some(({ content = {} }) => 'application/json' in content);
}

function pythonOf({ route, url, body, isStream }: Request): string {
  const options = [
    `"${url}"`,
    ...(isPublic(route) ? [] : [`headers={"Authorization": f"Bearer {os.environ['KEY']}"}`]),
    ...(body === null ? [] : [`json=${python(body, 1)}`]),
    ...(isStream ? ['stream=True'] : []),
  ];
  const read = isStream
    ? 'for line in answer.iter_lines(decode_unicode=True):\n    print(line)'
    : `print(answer.status_code, answer.${isJson(route) ? 'json()' : 'text'})`;
  const needed = isPublic(route) ? 'import requests' : 'import os\n\nimport requests';
  return `${needed}\n\nanswer = requests.${route.method}(\n${options.map((option) => `    ${option},\n`).join('')})\n${read}`;
}

/** As a TypeScript literal. */
function literal(value: unknown, depth = 0): string {
  return written(value, depth, {
    text: (one) => `'${JSON.stringify(one).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`,
    key: (name) => (/^[A-Za-z_]\w*$/.test(name) ? name : `'${name}'`),
    word: String,
    indent: '  ',
    padded: true,
  });
}

/** As a Python literal. */
function python(value: unknown, depth = 0): string {
  const words = new Map([
    ['true', 'True'],
    ['false', 'False'],
    ['null', 'None'],
  ]);
  const quote = (one: string): string => JSON.stringify(one);
  return written(value, depth, {
    text: quote,
    key: quote,
    word: (one) => words.get(String(one)) ?? String(one),
    indent: '    ',
    padded: false,
  });
}

interface Style {
  text(value: string): string;
  key(name: string): string;
  word(value: unknown): string;
  indent: string;
  padded: boolean;
}

const LONGEST_LINE = 72;

function written(value: unknown, depth: number, style: Style): string {
  if (typeof value === 'string') return style.text(value);
  if (typeof value !== 'object' || value === null) return style.word(value);
  const parts = Array.isArray(value)
    ? value.map((item) => written(item, depth + 1, style))
    : Object.entries(value).map(([name, item]) => `${style.key(name)}: ${written(item, depth + 1, style)}`);
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  if (parts.length === 0) return `${open}${close}`;
  const space = style.padded && !Array.isArray(value) ? ' ' : '';
  const line = `${open}${space}${parts.join(', ')}${space}${close}`;
  if (line.length <= LONGEST_LINE && !line.includes('\n')) return line;
  const inner = style.indent.repeat(depth + 1);
  return `${open}\n${parts.map((part) => `${inner}${part},\n`).join('')}${style.indent.repeat(depth)}${close}`;
}
