import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { gunzipSync } from 'node:zlib';
import type { Job } from '@baton/runner-sdk/protocol';
import Ajv2020 from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import { request } from 'undici';
import { describe as describeApi } from '../../coordinator/http/docs/openapi';
import { type ApiDocument, routesOf } from '../../coordinator/http/docs/document';
import { exampleBody } from '../../coordinator/http/docs/example';
import { html } from '../../coordinator/http/docs/markup';
import { renderPage } from '../../coordinator/http/docs/page';
import { samplesOf } from '../../coordinator/http/docs/samples';
import { ENDPOINTS } from '../../coordinator/http/server';
import { ERRORS } from '../../coordinator/errors';
import { isThere } from '../docs/process';
import { typeFaults } from '../docs/typecheck';
import { startCoordinator } from '../support/coordinator';

const ROOT = join(__dirname, '..', '..');

const document = describeApi(ENDPOINTS) as unknown as ApiDocument;
const routes = routesOf(document);
const page = renderPage({
  document,
  errors: ERRORS,
  version: '0',
  style: '/docs/reference.css',
  script: '/docs/reference.js',
});
const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id = '']) => id);

describe('the reference', () => {
  test('shows every operation, shape and error code', () => {
    expect(routes).toHaveLength(ENDPOINTS.length);
    expect(ids).toEqual(
      expect.arrayContaining([
        ...routes.map(({ operationId }) => operationId),
        ...Object.keys(document.components.schemas).map((name) => `schema-${name}`),
      ]),
    );
    for (const code of Object.keys(ERRORS)) expect(page).toContain(`<td><code>${code}</code></td>`);
    for (const { path, summary } of routes)
      expect([page.includes(`<code>${path}</code>`), page.includes(html`>${summary}</a></h3>`.text)]).toEqual([
        true,
        true,
      ]);
  });

  test('has no id twice, and no link that leads nowhere', () => {
    expect(ids.length).toBe(new Set(ids).size);
    const links = [...page.matchAll(/href="([^"]+)"/g)].map(([, to = '']) => to);
    expect(links.filter((to) => to.startsWith('#') && !ids.includes(to.slice(1)))).toEqual([]);
    expect(links.filter((to) => !/^(#|\/openapi\.json$|\/docs\/reference\.|data:image)/.test(to))).toEqual([]);
  });

  test('is within the strict policy: nothing inline, nothing from elsewhere', () => {
    expect(page).not.toMatch(/<style|\sstyle=|\son\w+=|<script(?! src="\/docs\/)|<iframe|<img|javascript:/i);
    expect(
      page
        .match(/https?:\/\/[^\s"'<]+/g)
        ?.filter((url) => !/^http:\/\/(127\.0\.0\.1:3001|www\.w3\.org\/2000\/svg)|^https:\/\/example\.com/.test(url)) ??
        [],
    ).toEqual([]);
  });

  test('escapes what it shows', () => {
    expect(html`<p title="${'"><script>'}">${['<b>', html`<i>${"'&"}</i>`, null, false, 0]}</p>`.text).toBe(
      '<p title="&quot;&gt;&lt;script&gt;">&lt;b&gt;<i>&#39;&amp;</i>0</p>',
    );
  });
});

describe('the examples', () => {
  const ajv = new Ajv2020({ strict: false });
  addFormats(ajv);
  ajv.addSchema(document, 'openapi');
  const faultsOf = (pointer: string, value: unknown): string[] => {
    const validate = ajv.compile({ $ref: `openapi#/${pointer}` });
    return validate(value)
      ? []
      : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  };
  const sent = routes.flatMap((route) =>
    route.requestBody === undefined ? [] : [[`${route.method} ${route.path}`, route] as const],
  );
  const answers = routes.flatMap((route) =>
    Object.entries(route.responses).flatMap(([status, { content = {} }]) =>
      'application/json' in content
        ? [[`${route.operationId} ${status}`, route, status, content['application/json']?.example] as const]
        : [],
    ),
  );

  test.each(sent)('%s would be taken', (name, route) => {
    const { body } =
      ENDPOINTS.find(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}` === name) ?? {};
    expect(body?.safeParse(exampleBody(route, document))).toMatchObject({ success: true });
    expect(Object.values(route.requestBody?.content ?? {})[0]?.example).toEqual(exampleBody(route, document));
  });

  test.each(answers)('%s has the shape that is documented', (_name, route, status, example) => {
    const pointer = ['paths', route.path, route.method, 'responses', status, 'content', 'application/json', 'schema'];
    const path = pointer.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1')).map(encodeURIComponent);
    expect(faultsOf(path.join('/'), example)).toEqual([]);
    expect(untrueIn(example)).toEqual([]);
  });

  test.each(Object.keys(document.components.schemas))('%s, and its fields, have examples that fit', (name) => {
    const schema = document.components.schemas[name] ?? {};
    for (const example of schema.examples ?? []) {
      expect(faultsOf(`components/schemas/${name}`, example)).toEqual([]);
      expect(untrueIn(example)).toEqual([]);
    }
    for (const [field, property] of Object.entries(schema.properties ?? {})) {
      for (const example of property.examples ?? [])
        expect([field, faultsOf(`components/schemas/${name}/properties/${field}`, example)]).toEqual([field, []]);
    }
  });

  test('that no job could be are found', () => {
    expect(untrueIn({ jobs: [{ status: 'blocked', attempt: 0, result: {}, error: null, finishedAt: null }] })).toEqual([
      'blocked with a result',
    ]);
  });
});

describe('the samples', () => {
  const samples = routes.flatMap((route) =>
    samplesOf(route, document).map((sample) => ({ ...sample, operation: route.operationId })),
  );
  const of = (language: string) => samples.filter((sample) => sample.language === language);

  test('in curl name the address, the key and the body', () => {
    const code = (operation: string) => of('shell').find((sample) => sample.operation === operation)?.code;
    expect(code('createJob')).toMatch(
      /^curl "http:\/\/127\.0\.0\.1:3001\/jobs" \\\n {2}-H "Authorization: Bearer \$KEY" \\\n {2}-H 'Content-Type: application\/json' \\\n {2}-d '\{[^']+\}'$/,
    );
    expect(code('checkLiveness')).toBe('curl "http://127.0.0.1:3001/healthz"');
    expect(code('streamEvents')).toContain('curl -N ');
    expect(code('getJob')).not.toContain('{');
  });

  test('in TypeScript compile', () => {
    const pieces = new Map(of('typescript').map(({ operation, code }) => [operation, `${code}\nexport {};\n`]));
    // What comes back is for the reader to use.
    expect(typeFaults(ROOT, pieces).filter((fault) => !/never read|are unused/.test(fault))).toEqual([]);
  });

  (isThere('python3') ? test : test.skip)('in Python can be read', () => {
    const pieces = JSON.stringify(of('python').map(({ operation, code }) => [operation, code]));
    const read = 'import ast, json, sys\nfor name, code in json.load(sys.stdin): ast.parse(code, name)';
    expect(spawnSync('python3', ['-c', read], { input: pieces, encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    });
  });
});

/** What jobs in an example are, and no job can be. */
function untrueIn(example: unknown): string[] {
  if (typeof example !== 'object' || example === null) return [];
  const { status, result, error, attempt, finishedAt } = example as Partial<Job>;
  const inner = Object.values(example).flatMap(untrueIn);
  if (!('finishedAt' in example && 'attempt' in example && 'status' in example)) return inner;
  const isFinished = ['completed', 'failed', 'cancelled'].includes(status ?? '');
  const faults = [
    [result !== null && status !== 'completed', 'a result'],
    [error !== null && status === 'completed', 'an error'],
    [error === null && status === 'failed', 'no error'],
    [(finishedAt !== null) !== isFinished, 'the wrong finishedAt'],
    [attempt === 0 && ['running', 'completed', 'failed'].includes(status ?? ''), 'no attempt'],
  ] as const;
  return [...inner, ...faults.flatMap(([isFault, what]) => (isFault ? [`${status} with ${what}`] : []))];
}

describe('GET /docs', () => {
  let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
  beforeAll(async () => (coordinator = await startCoordinator()));
  afterAll(() => coordinator.stop());

  test('answers anybody, with a page whose parts it serves itself', async () => {
    const api = coordinator.api.as(null);
    const { status, headers, body } = await api.get<string>('/docs');
    expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(headers['content-security-policy']).toContain("script-src 'self';style-src 'self'");
    const parts = [...body.matchAll(/(?:href|src)="(\/docs\/[^"]+)"/g)].map(([, path = '']) => path);
    const answers = await Promise.all(parts.map((path) => api.get<string>(path)));
    expect(
      answers.map((answer) => [answer.status, answer.headers['content-type'], answer.headers['cache-control']]),
    ).toEqual([
      [200, 'text/css; charset=utf-8', 'public, max-age=31536000, immutable'],
      [200, 'text/javascript; charset=utf-8', 'public, max-age=31536000, immutable'],
    ]);
    expect(() => new Script(answers[1]?.body ?? '')).not.toThrow();
    expect(body).toContain('<code>/openapi.json</code>');
  });

  test('is packed for those who can unpack it', async () => {
    const { headers, body } = await request(`${coordinator.url}/docs`, { headers: { 'accept-encoding': 'br, gzip' } });
    expect([headers['content-encoding'], headers.vary]).toEqual(['gzip', 'Accept-Encoding']);
    expect(gunzipSync(Buffer.from(await body.arrayBuffer())).toString()).toContain('<h1>Baton</h1>');
  });
});
