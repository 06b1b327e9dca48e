import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Runner } from '@baton/runner-sdk';
import { testLogger } from '../runner-sdk/fake-coordinator';
import { eventually } from '../support/eventually';
import type { Kept } from './match';
import { ScriptedCoordinator, type Turn } from './scripted-coordinator';

// The SDK's runner is held against the cases that docs/conformance.md publishes.

interface Case {
  name: string;
  handler: { completes?: unknown; fails?: string; waits?: boolean };
  exchange: Turn[];
}

const FILE = join(__dirname, '..', '..', 'docs', 'conformance', 'runner.json');
const { cases } = JSON.parse(readFileSync(FILE, 'utf8')) as { cases: Case[] };

test.each(cases)('$name', async ({ handler, exchange }) => {
  const type = `CONFORMANCE_${randomUUID().slice(0, 8)}`;
  const kept: Kept = new Map([
    ['type', type],
    ['job', randomUUID()],
    ['token', randomUUID()],
  ]);
  const coordinator = new ScriptedCoordinator(exchange, kept);
  const runner = new Runner({
    coordinatorUrl: await coordinator.start(),
    apiKey: 'key',
    concurrency: 1,
    signals: false,
    logger: testLogger(),
  });
  runner.handle(type, async (_args, { signal }) => {
    if (handler.fails !== undefined) throw new Error(handler.fails);
    if (handler.waits !== true) return handler.completes;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    throw signal.reason;
  });
  try {
    await runner.start();
    await eventually(
      () => coordinator.missing,
      (missing) => missing.length === 0,
      60_000,
    );
    expect(coordinator.faults).toEqual([]);
    expect(coordinator.unexpectedReports).toBe(0);
  } finally {
    await runner.stop({ graceMs: 0 });
    coordinator.stop();
  }
});
