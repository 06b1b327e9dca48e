import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCoordinator } from '../support/coordinator';
import { faultsOf, filled, type Kept } from './match';

// The coordinator is held against the cases that docs/conformance.md publishes, over HTTP, as any implementation can
// be.

interface Step {
  as: 'runner' | 'client' | 'nobody';
  call: string;
  headers?: Record<string, string>;
  body?: unknown;
  /** A body that is sent as it is. */
  text?: string;
  answers: number;
  with?: unknown;
  /** Wanted headers of the answer. */
  withHeaders?: unknown;
}
interface Case {
  name: string;
  steps: Step[];
}

const FILE = join(__dirname, '..', '..', 'docs', 'conformance', 'coordinator.json');
const { cases } = JSON.parse(readFileSync(FILE, 'utf8')) as { cases: Case[] };

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
const keys = new Map<string, string>();
beforeAll(async () => {
  coordinator = await startCoordinator();
  keys.set('runner', await coordinator.api.makeKey({ name: 'conformance', role: 'runner' }));
  keys.set('client', await coordinator.api.makeKey({ name: 'conformance', role: 'producer' }));
});
afterAll(() => coordinator.stop());

async function play(
  { as, call, headers, body, text, answers, with: wanted, withHeaders }: Step,
  kept: Kept,
): Promise<string[]> {
  const [method = '', path = ''] = String(filled(call, kept)).split(' ');
  const key = keys.get(as);
  const response = await fetch(coordinator.url + path, {
    method,
    headers: {
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(method === 'POST' && { 'content-type': 'application/json' }),
      ...(filled(headers ?? {}, kept) as Record<string, string>),
    },
    ...(method === 'POST' && { body: text ?? JSON.stringify(filled(body ?? {}, kept)) }),
  });
  const answer: unknown = await response.json();
  const faults = wanted === undefined ? [] : faultsOf(answer, wanted, kept);
  if (withHeaders !== undefined) faults.push(...faultsOf(Object.fromEntries(response.headers), withHeaders, kept));
  if (response.status !== answers) faults.unshift(`answered ${response.status} instead of ${answers}`);
  return faults.map((fault) => `${call}: ${fault} (${JSON.stringify(answer)})`);
}

test.each(cases)('$name', async ({ steps }) => {
  const kept: Kept = new Map([
    ['type', `CONFORMANCE_${randomUUID().slice(0, 8)}`],
    ['runner', `conformance-${randomUUID()}`],
    ['claim', randomUUID()],
    ['nobody', randomUUID()],
  ]);
  for (const step of steps) expect(await play(step, kept)).toEqual([]);
});

test('a coordinator that answers otherwise is found', async () => {
  const kept: Kept = new Map([['type', 'T']]);
  expect(faultsOf({ jobs: [{ id: 'a' }] }, { jobs: [] }, kept)).toEqual(['jobs has 1 instead of 0']);
  expect(faultsOf({ status: 'failed' }, { status: 'completed' }, kept)).toEqual([
    'status is "failed", not "completed"',
  ]);
  expect(faultsOf({ a: { n: 1 } }, { a: { n: { is: 'string' } } }, kept)).toEqual(['a.n is 1, not a string']);
  expect(faultsOf({ id: 'x' }, { id: { keep: 'job' } }, kept)).toEqual([]);
  expect(faultsOf({ id: 'y' }, { id: '{job}' }, kept)).toEqual(['id is "y", not "x"']);
});
