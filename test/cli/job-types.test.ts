import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import ts from 'typescript';
import { typescriptOf } from '../../cli/commands/job-types/typescript';
import { startCoordinator } from '../support/coordinator';
import { Shell } from './support/command';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let shell: Shell;
beforeAll(async () => {
  coordinator = await startCoordinator();
  shell = new Shell({ COORDINATOR_URL: coordinator.url, BATON_KEY: coordinator.adminKey });
});
afterAll(() => coordinator.stop());

const resize = z.strictObject({
  url: z.url(),
  width: z.int().describe('In pixels. */ Not more than 4000.'),
  fit: z.enum(['cover', 'contain']).default('cover'),
  crop: z.tuple([z.number(), z.number()]).optional(),
  tags: z.array(z.union([z.string(), z.number()])).optional(),
  data: z.record(z.string(), z.json()).optional(),
  'content-type': z.literal('image/png').nullable().optional(),
});

async function publish(runner: string, types: Record<string, unknown>): Promise<void> {
  const { body } = await coordinator.api.call<{ refused: unknown[] }>('put', `/runners/${runner}/types`, {
    json: { types },
  });
  expect(body.refused).toEqual([]);
}

/** What tsc says of a file beside the generated one, under the strictest settings. */
function faultsOf(folder: string, source: string): string[] {
  const file = join(folder, 'producer.ts');
  writeFileSync(file, source);
  const program = ts.createProgram([file], {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  });
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

test('generate writes what tsc holds producers to, the same each time, several schemas as a union', async () => {
  await publish('r1', {
    'resize-image': {
      arguments: z.toJSONSchema(resize, { io: 'input' }),
      result: { type: 'object', properties: { bytes: { type: 'integer' } }, required: ['bytes'] },
    },
    SEND_MAIL: { arguments: { type: 'object', properties: { to: { type: 'string' } }, required: ['to'] } },
  });
  await publish('r2', {
    SEND_MAIL: {
      arguments: {
        type: 'object',
        properties: { recipients: { type: 'array', items: { type: 'string' } } },
        required: ['recipients'],
      },
    },
  });
  const file = join(shell.folder, 'jobs.ts');
  expect(await shell.run(['types', 'generate', '--output', file])).toMatchObject({ code: 0 });
  expect((await shell.run(['types', 'generate', '--output', file, '--check'])).code).toBe(0);
  const { stdout } = await shell.run(['types', 'generate', 'SEND_MAIL', 'resize-image']);
  expect(faultsOf(shell.folder, `import './jobs.js';`)).toEqual([]);

  const uses = `
    import type { JobTypes, ResizeImageArguments, SendMailArguments } from './jobs.js';
    export const a: ResizeImageArguments = { url: 'u', width: 3, crop: [1, 2], tags: ['a', 1], data: { x: [1, { y: null }] } };
    export const b: SendMailArguments[] = [{ to: 'x' }, { recipients: ['x'] }];
    export const c: number = ({} as JobTypes['resize-image']['result']).bytes;
  `;
  expect(faultsOf(shell.folder, uses)).toEqual([]);
  const wrong = [
    `import type { ResizeImageArguments as T } from './jobs.js'; export const a: T = { url: 'u' };`,
    `import type { ResizeImageArguments as T } from './jobs.js'; export const a: T = { url: 'u', width: 1, fit: 'x' };`,
    `import type { ResizeImageArguments as T } from './jobs.js'; export const a: T = { url: 'u', width: 1, b: 2 };`,
    `import type { SendMailArguments as T } from './jobs.js'; export const a: T = {};`,
  ];
  for (const source of wrong) expect(faultsOf(shell.folder, source)).toHaveLength(1);

  expect(stdout).toContain('"resize-image": { arguments: ResizeImageArguments; result: ResizeImageResult };');
  writeFileSync(file, `${stdout} `);
  expect(await shell.run(['types', 'generate', '--output', file, '--check'])).toMatchObject({
    code: 8,
    stderr: expect.stringContaining('is not what the schemas say') as unknown,
  });
});

test('list and show tell what is published', async () => {
  await publish('r3', { SHOWN: { arguments: { type: 'object', description: 'what is shown' } } });
  expect((await shell.run(['types', 'list'])).stdout).toContain('SHOWN');
  expect((await shell.run(['types', 'show', 'SHOWN'])).stdout).toContain('what is shown');
  expect(await shell.json(['types', 'show', 'SHOWN'])).toMatchObject({ type: 'SHOWN', schemas: [{ inForce: true }] });
  expect((await shell.run(['types', 'show', 'NOBODY_SERVES'])).code).toBe(5);
});

test('schemas that refer to themselves, that are odd, or hostile, still give TypeScript that compiles', () => {
  const schemas = [
    { $ref: '#' },
    {
      type: 'object',
      properties: { next: { $ref: '#' }, 'a"b': { const: '*/' } },
      additionalProperties: { type: 'number' },
    },
    { $defs: { n: { anyOf: [{ $ref: '#/$defs/n' }, { type: 'string' }] } }, $ref: '#/$defs/n' },
    { allOf: [{ type: 'object', properties: { a: true } }, { properties: { b: false } }], description: '*/ x */' },
    {
      type: ['array', 'null'],
      prefixItems: [{ enum: ['\u2028', '`$' + '{1}`', null, { a: [] }] }],
      items: { type: 'integer' },
    },
    { $ref: '#/$defs/gone' },
    false,
  ].map((schema, index) => ({
    ...{ hash: String(index), arguments: schema, result: null, runners: 1, inForce: true, firstSeenAt: '' },
  }));
  const types = schemas.map((schema, index) => ({ type: `1.odd/${index}`, schemas: [schema] }));
  const text = typescriptOf([...types, { type: 'ALL', schemas }]);
  writeFileSync(join(shell.folder, 'jobs.ts'), text);
  expect(faultsOf(shell.folder, `import './jobs.js';`)).toEqual([]);
  expect(typescriptOf([{ type: 'ALL', schemas: [...schemas].reverse() }, ...types.reverse()])).toBe(text);
});
