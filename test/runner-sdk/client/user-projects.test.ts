import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';

const ROOT = join(__dirname, '..', '..', '..');
const run = promisify(execFile);

/**
 * What stands for the same schemas in each library: `id` is text that becomes a number, `at` text that becomes a date.
 */
const LIBRARIES: Record<string, { module: string; from: string; schemas: string }> = {
  'zod-3.25': { module: 'zod', from: 'zod-3.25', schemas: zodSchemas() },
  'zod-4.1': { module: 'zod', from: 'zod-4.1', schemas: zodSchemas() },
  'zod-newest': { module: 'zod', from: 'zod', schemas: zodSchemas() },
  valibot: {
    module: 'valibot',
    from: 'valibot',
    schemas: `import * as v from 'valibot';
      const args = v.objectAsync({
        id: v.pipe(v.string(), v.transform(Number)),
        name: v.pipeAsync(v.string(), v.checkAsync(async (name) => (await name) !== 'taken', 'is taken')),
      });
      const result = v.object({ at: v.pipe(v.string(), v.transform((text) => new Date(text))) });`,
  },
  arktype: {
    module: 'arktype',
    from: 'arktype',
    schemas: `import { type } from 'arktype';
      const args = type({ id: 'string.numeric.parse', name: type('string').narrow((name, ctx) => name !== 'taken' || ctx.reject('free')) });
      const result = type({ at: 'string.date.parse' });`,
  },
};

function zodSchemas(): string {
  return `import { z } from 'zod';
    const args = z.object({
      id: z.string().transform(Number),
      name: z.string().refine(async (name) => (await name) !== 'taken', { message: 'is taken' }),
    });
    const result = z.object({ at: z.string().transform((text) => new Date(text)) });`;
}

const PROGRAM = `
const film = defineJob({ type: 'FILM', arguments: args, result, queue: undefined });
const client = new Client({ apiKey: process.env.KEY, coordinatorUrl: process.env.COORDINATOR, budgetMs: undefined });
const runner = new Runner({
  apiKey: process.env.KEY, coordinatorUrl: process.env.COORDINATOR, name: process.env.NAME, labels: undefined, signals: false,
});
runner.handle(film, ({ id, name }, job) => {
  const number: number = id;
  job.log.info(name + number);
  return { at: '2026-01-31T12:00:00Z' };
});
export async function neverCalled(): Promise<number> {
  // @ts-expect-error: a result's time is text before it is checked
  runner.handle(film, () => ({ at: 1 }));
  // @ts-expect-error: id is text where it is given
  await client.create(film, { id: 1, name: 'x' });
  // @ts-expect-error: a filter's field is never undefined
  await client.cancelAll({ userId: process.env.USER_ID });
  const options = { queue: undefined, signal: undefined, idempotencyKey: process.env.ONCE, runAt: process.env.AT };
  const job = await client.create(film, { id: '603', name: 'x' }, options);
  const { at } = await client.wait(job, { timeoutMs: undefined, onProgress: ({ percent }) => percent });
  for await (const event of client.watch(job, { signal: undefined })) if (event.name === 'job.progress') break;
  const [made] = await client.createMany(film, [{ id: '1', name: 'y' }], { atomic: false });
  return at.getTime() + (made instanceof BatonError ? 0 : Number(made?.arguments.id));
}

export async function main(): Promise<void> {
  const good = await runHandler(film, ({ id }) => ({ at: id === 603 ? '2026-01-31T12:00:00Z' : 'wrong' }), { id: '603', name: 'x' });
  const refused = async (given: never) => {
    const error: unknown = await client.create(film, given).catch((thrown: unknown) => thrown);
    return error instanceof BatonError ? [error.code, error.errors.map(({ path }) => path)] : String(error);
  };
  const taken = await refused({ id: '1', name: 'taken' } as never);
  console.log(JSON.stringify([good.outcome, good.result, taken, await refused({ id: 1, name: 'x' } as never)]));
  await client.close();
}
`;
const IMPORTS = `import { BatonError, Client, defineJob, Runner } from '@baton/runner-sdk';
import { runHandler } from '@baton/runner-sdk/testing';
`;
const STRICT: ts.CompilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  target: ts.ScriptTarget.ES2022,
  types: ['node'],
  skipLibCheck: true,
};

let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-user-'));
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: join(ROOT, 'runner-sdk'),
  });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  const sdk = join(folder, 'node_modules/@baton/runner-sdk');
  mkdirSync(sdk, { recursive: true });
  await run('tar', ['-xzf', join(folder, filename), '-C', sdk, '--strip-components=1']);
  const { dependencies } = JSON.parse(readFileSync(join(sdk, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  for (const name of Object.keys(dependencies)) link(name, join(sdk, 'node_modules', name));
  link('@types/node', join(folder, 'node_modules/@types/node'));
  link('undici-types', join(folder, 'node_modules/undici-types'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function link(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules', from), to);
}

function write(path: string, text: string): string {
  const full = join(folder, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text);
  return full;
}

/** Compiles the files beside themselves, and returns the faults. */
function compile(files: string[], options: ts.CompilerOptions): string[] {
  const program = ts.createProgram(files, { ...STRICT, ...options, typeRoots: [join(folder, 'node_modules/@types')] });
  program.emit();
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ file, messageText }) => `${file?.fileName ?? ''} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`);
}

async function output(command: string, ...args: string[]): Promise<unknown> {
  const env = { ...process.env, KEY: 'key', COORDINATOR: 'http://127.0.0.1:9' };
  return JSON.parse((await run(command, args, { env })).stdout);
}

const EXPECTED = [
  'completed',
  { at: '2026-01-31T12:00:00Z' },
  ['invalid_arguments', ['name']],
  ['invalid_arguments', ['id']],
];

it('compiles and runs with the schemas of any library, as ESM', async () => {
  const programs = Object.entries(LIBRARIES).map(([name, { module, from, schemas }]) => {
    link(from, join(folder, name, 'node_modules', module));
    return write(`${name}/app.mts`, `${IMPORTS}${schemas}${PROGRAM}await main();\n`);
  });
  const samples = [...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/^```ts\b[^\n]*\n(.*?)^```/gms)];
  expect(samples.length).toBeGreaterThanOrEqual(2);
  const shown = ['zod-3.25', 'zod-4.1', 'zod-newest'].flatMap((name) =>
    samples.map(([, code = ''], index) => write(`${name}/readme-${index}.mts`, code)),
  );
  const options = { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 };
  expect(compile([...programs, ...shown], options)).toEqual([]);
  for (const program of programs) {
    const told = await output(process.execPath, program.replace('.mts', '.mjs'));
    expect([program, told]).toEqual([program, EXPECTED]);
  }
  const [first = ''] = programs;
  expect(await output(join(ROOT, 'node_modules/.bin/tsx'), first)).toEqual(EXPECTED);
});

it('compiles and runs as CommonJS, also where TypeScript resolves modules as it once did', async () => {
  link('zod-3.25', join(folder, 'classic/node_modules/zod'));
  const program = write(
    'classic/app.ts',
    `${IMPORTS}import type { Job } from '@baton/runner-sdk/protocol';
    export type Kept = Job;
    ${zodSchemas()}${PROGRAM}void main();\n`,
  );
  const options = {
    module: ts.ModuleKind.CommonJS,
    moduleResolution: ts.ModuleResolutionKind.Node10,
    esModuleInterop: true,
  };
  expect(compile([program], options)).toEqual([]);
  expect(await output(process.execPath, program.replace('.ts', '.js'))).toEqual(EXPECTED);
});

it.each([
  ['nodenext', ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext],
  ['bundler', ts.ModuleKind.ESNext, ts.ModuleResolutionKind.Bundler],
])(
  'compiles where TypeScript resolves modules as %s, with the types of the SDK checked too',
  (name, module, resolution) => {
    link('zod-3.25', join(folder, name, 'node_modules', 'zod'));
    const program = write(
      `${name}/app.mts`,
      `${IMPORTS}import type { Job } from '@baton/runner-sdk/protocol';
    import { enqueue } from '@baton/runner-sdk/enqueue';
    export type Kept = [Job, typeof enqueue];
    ${zodSchemas()}${PROGRAM}`,
    );
    expect(
      compile([program], { module, moduleResolution: resolution, skipLibCheck: false, lib: ['lib.es2024.d.ts'] }),
    ).toEqual([]);
  },
);

it('says what is no schema', async () => {
  const program = write(
    'none/app.cjs',
    `const { defineJob } = require('@baton/runner-sdk');
    try { defineJob({ type: 'X', arguments: { parse() {} } }); } catch (error) { console.log(JSON.stringify(error.message)); }`,
  );
  expect(await output(process.execPath, program)).toMatch(/arguments must be a schema .* Standard Schema/);
});
