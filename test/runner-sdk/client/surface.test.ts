import { join } from 'node:path';
import * as sdk from '@baton/runner-sdk';
import { Client } from '@baton/runner-sdk';
import ts from 'typescript';
import { ENDPOINTS } from '../../../coordinator/http/server';
import { FakeCoordinator } from '../fake-coordinator';

/** What the package's root exports. A name more is a promise more: add it here when users have to write it. */
const VALUES = [
  ...['AttemptAbortedError', 'AttemptCancelledError', 'AttemptTimeoutError', 'BatonError', 'Client'],
  ...['ConfigurationError', 'JobCancelledError', 'JobFailedError', 'LeaseLostError', 'NonRetryableError'],
  ...[
    'RetryAfterError',
    'Runner',
    'RunnerStoppingError',
    'SDK_VERSION',
    'SnoozeError',
    'SuspendError',
    'defineJob',
    'stderrLogger',
  ],
];
const TYPES = [
  ...['Alert', 'AlertPage', 'All', 'Analytics', 'ApiKey', 'ApiKeyPage', 'AttemptView', 'AuditEntry', 'AuditPage'],
  ...['Bulk', 'BulkInBackground', 'BulkOperation', 'ClientEvent', 'ClientOptions', 'Concurrency', 'ConnectionOptions'],
  ...['CreateOptions', 'DeadLetter', 'DeadLetterFilter', 'DeadLetterGroup', 'DeadLetterPage', 'Delivery'],
  ...['DeliveryPage', 'EventFilter', 'EventStreamOptions', 'Explanation', 'Filter', 'Handler', 'HandlerHooks'],
  ...[
    'HandlerObject',
    'Health',
    'Job',
    'JobContext',
    'JobDefaults',
    'JobDefinition',
    'JobDefinitionOptions',
    'JobError',
  ],
  ...['JobType', 'JobTypePage', 'JsonSchema', 'TypeSchemas'],
  ...['JobEvent', 'JobListPage', 'JobOf', 'JobStatus', 'Json', 'Labels', 'LogLevel', 'LogLineView', 'LogPage'],
  ...['AddOptions', 'Batch', 'BatchFilter', 'BatchOptions', 'BatchPage', 'BatchResult', 'CreatedBatch', 'SplitOptions'],
  ...['ChainStep', 'GateOptions', 'StepOptions', 'Workflow', 'WorkflowBuilder', 'WorkflowFilter', 'WorkflowNode'],
  ...['ManyHandler', 'ManyJob', 'ManyOptions', 'WorkflowOptions', 'WorkflowPage', 'WorkflowStep', 'WorkflowSummary'],
  ...[
    'LogThreshold',
    'Logger',
    'NextTry',
    'Notice',
    'ObjectReference',
    'Page',
    'Queue',
    'RateLimits',
    'RetryPolicy',
    'RunnerOptions',
  ],
  ...[
    'RunnerPage',
    'RunnerView',
    'Scale',
    'Schedule',
    'ScheduleFilter',
    'ScheduleOptions',
    'SchedulePage',
    'ScheduleTick',
    'SetQueue',
    'Stats',
    'SystemReport',
    'TickPage',
    'WaitOptions',
    'Webhook',
    'WebhookPage',
  ],
];

test('the root exports what users write, and nothing else', () => {
  const path = join(__dirname, '../../../runner-sdk/index.ts');
  const program = ts.createProgram([path], { module: ts.ModuleKind.Node16, noLib: true, types: [] });
  const source = program.getSourceFile(path);
  const checker = program.getTypeChecker();
  const root = source === undefined ? undefined : checker.getSymbolAtLocation(source);
  const names = root === undefined ? [] : checker.getExportsOfModule(root).map(({ name }) => name);
  expect(names.sort()).toEqual([...VALUES, ...TYPES].sort());
  expect(Object.keys(sdk).sort()).toEqual([...VALUES].sort());
});

/** Routes without a method, and why. */
const NO_METHOD: Record<string, string> = {
  'GET /objects/:id': 'asked by client.read, handlers and client.wait, for references of the right form',
  'POST /jobs/claim': 'spoken by Runner',
  'POST /jobs/complete': 'spoken by Runner',
  'POST /jobs/heartbeat': 'spoken by Runner',
  'POST /jobs/:id/heartbeat': 'one of what Runner sends for many',
  'POST /jobs/:id/complete': 'one of what Runner sends for many',
  'POST /jobs/:id/release': 'spoken by Runner',
  'GET /jobs/:id/dependencies/:parentId/result': 'spoken by a runner, whose lease token it takes',
  'GET /gates/:id': 'for whoever was given the link, and has no key',
  'POST /gates/:id': 'for whoever was given the link, and has no key',
  'PUT /runners/:id/types': 'spoken by Runner',
  'POST /session': 'for browsers: a client has its key',
  'POST /session/links': 'for browsers: a client has its key',
  'DELETE /session': 'for browsers: a client has its key',
};

type Call = (client: Client) => Promise<unknown> | AsyncGenerator<unknown>;

/** Each route, and a call that sends it. */
const CALLS: Record<string, Call> = {
  'POST /jobs': (client) => client.create('T'),
  'POST /jobs/bulk': (client) => client.createMany(sdk.defineJob({ type: 'T' }), [1]),
  'GET /jobs': (client) => client.list({ type: 'T' }),
  'GET /jobs/count': (client) => client.count({ type: 'T' }),
  'GET /jobs/:id': (client) => client.get('x'),
  'DELETE /jobs/:id': (client) => client.delete('x'),
  'PATCH /jobs/:id': (client) => client.edit('x', { priority: 1 }),
  'GET /jobs/:id/attempts': (client) => client.attempts('x'),
  'GET /jobs/:id/logs': (client) => client.logs('x', { after: 1 }),
  'GET /jobs/:id/explain': (client) => client.explain('x'),
  'GET /jobs/:id/wait': (client) => client.wait('x', { timeoutMs: 0 }),
  'GET /jobs/:id/events': (client) => client.watch('x'),
  'GET /events': (client) => client.events({ queue: 'q' }),
  'POST /jobs/:id/cancel': (client) => client.cancel('x'),
  'POST /jobs/:id/retry': (client) => client.retry('x'),
  'POST /jobs/:id/run-now': (client) => client.runNow('x'),
  'POST /jobs/cancel': (client) => client.cancelAll({ type: 'T' }),
  'POST /jobs/retry': (client) => client.retryAll({ all: true }),
  'POST /jobs/prioritise': (client) => client.prioritiseAll({ type: 'T' }, 1),
  'POST /jobs/replay': (client) => client.replayAll({ type: 'T' }, { queue: 'q' }),
  'POST /jobs/purge': (client) => client.purgeAll({ type: 'T' }),
  'GET /bulk-operations/:id': (client) => client.bulkOperation('x'),
  'POST /bulk-operations/:id/cancel': (client) => client.cancelBulkOperation('x'),
  'GET /dead-letters': (client) => client.deadLetters.list(),
  'GET /dead-letters/groups': (client) => client.deadLetters.groups(),
  'GET /dead-letters/:id': (client) => client.deadLetters.get('x'),
  'DELETE /dead-letters/:id': (client) => client.deadLetters.delete('x'),
  'POST /dead-letters/:id/retry': (client) => client.deadLetters.retry('x', { arguments: {} }),
  'POST /dead-letters/retry': (client) => client.deadLetters.retryAll({ fingerprint: 'f' }),
  'POST /dead-letters/cleanup': (client) => client.deadLetters.cleanup({ all: true }),
  'GET /cleanup': (client) => client.cleanupPreview(),
  'POST /cleanup': (client) => client.cleanup({ olderThanMs: 1, all: true }),
  'GET /runners': (client) => client.runners(),
  'POST /runners/:id/drain': (client) => client.drainRunner('x'),
  'POST /runners/:id/resume': (client) => client.resumeRunner('x'),
  'GET /queues': (client) => client.queues(),
  'GET /queues/:name': (client) => client.queue('q'),
  'PUT /queues/:name': (client) => client.setQueue('q', { fair: true }),
  'POST /queues/:name/pause': (client) => client.pauseQueue('q'),
  'POST /queues/:name/resume': (client) => client.resumeQueue('q'),
  'POST /queues/:name/purge': (client) => client.purgeQueue('q'),
  'GET /queues/:name/scale': (client) => client.scale('q'),
  'GET /rate-limits': (client) => client.rateLimits(),
  'POST /batches': (client) => client.batches.create('T', [1]),
  'GET /batches': (client) => client.batches.list({ name: 'b' }),
  'POST /jobs/split': (client) => client.batches.split('T', [1], { batchSize: 1 }),
  'GET /batches/:id': (client) => client.batches.get('x'),
  'POST /batches/:id/jobs': (client) => client.batches.add('x', 'T', [1]),
  'POST /batches/:id/seal': (client) => client.batches.seal('x'),
  'POST /batches/:id/cancel': (client) => client.batches.cancel('x'),
  'POST /batches/:id/retry': (client) => client.batches.retry('x'),
  'GET /batches/:id/results': (client) => client.batches.results('x'),
  'GET /batches/:id/wait': (client) => client.batches.wait('x', { timeoutMs: 0 }),
  'POST /workflows': (client) => client.workflow('w', (workflow) => workflow.add('T')),
  'POST /workflows/:id/jobs': (client) => client.workflows.add('x', (workflow) => workflow.add('T')),
  'GET /workflows': (client) => client.workflows.list({ status: 'running' }),
  'GET /workflows/:id': (client) => client.workflows.get('x'),
  'GET /workflows/:id/wait': (client) => client.waitWorkflow('x', { timeoutMs: 0 }),
  'POST /workflows/:id/cancel': (client) => client.workflows.cancel('x', { key: 'a' }),
  'POST /workflows/:id/retry': (client) => client.workflows.retry('x'),
  'POST /workflows/:id/gates/:key': (client) => client.workflows.decide('x', 'x', 'opened', { by: 'ann' }),
  'POST /workflows/:id/gates/:key/link': (client) => client.workflows.link('x', 'x'),
  'POST /schedules': (client) => client.schedules.create('T', {}, { name: 's', cron: '@daily' }),
  'PUT /schedules': (client) => client.schedules.put('T', {}, { name: 's', everyMs: 60_000, job: { queue: 'q' } }),
  'GET /schedules': (client) => client.schedules.list({ queue: 'q' }),
  'GET /schedules/:id': (client) => client.schedules.get('x'),
  'PATCH /schedules/:id': (client) => client.schedules.update('x', { overlap: 'skip' }),
  'DELETE /schedules/:id': (client) => client.schedules.delete('x'),
  'POST /schedules/:id/pause': (client) => client.schedules.pause('x', 'because'),
  'POST /schedules/:id/resume': (client) => client.schedules.resume('x'),
  'POST /schedules/:id/run': (client) => client.schedules.run('x'),
  'POST /schedules/:id/backfill': (client) => client.schedules.backfill('x', { from: new Date(0), to: new Date(1) }),
  'GET /schedules/:id/next': (client) => client.schedules.next('x', { count: 3 }),
  'GET /schedules/:id/ticks': (client) => client.schedules.ticks('x', { outcome: 'refused' }),
  'POST /schedules/preview': (client) => client.schedules.preview({ cron: '@daily' }),
  'POST /webhooks': (client) => client.webhooks.create({ url: 'https://x.example', events: ['job.failed'] }),
  'GET /webhooks': (client) => client.webhooks.list(),
  'GET /webhooks/:id': (client) => client.webhooks.get('x'),
  'PATCH /webhooks/:id': (client) => client.webhooks.edit('x', { enabled: true }),
  'DELETE /webhooks/:id': (client) => client.webhooks.delete('x'),
  'POST /webhooks/:id/rotate': (client) => client.webhooks.rotateSecret('x'),
  'POST /webhooks/:id/test': (client) => client.webhooks.test('x'),
  'GET /webhooks/:id/deliveries': (client) => client.webhooks.deliveries('x'),
  'POST /webhooks/:id/deliveries/:deliveryId/resend': (client) => client.webhooks.resend('x', 'x'),
  'GET /callback-secret': (client) => client.callbacks.secret(),
  'POST /callback-secret/rotate': (client) => client.callbacks.rotateSecret(),
  'GET /jobs/:id/callbacks': (client) => client.callbacks.deliveries('x'),
  'POST /jobs/:id/callbacks/resend': (client) => client.callbacks.resend('x'),
  'POST /alerts': (client) => client.alerts.create({ name: 'a', measure: 'depth', threshold: 1 }),
  'GET /alerts': (client) => client.alerts.list(),
  'GET /alerts/:id': (client) => client.alerts.get('x'),
  'PATCH /alerts/:id': (client) => client.alerts.edit('x', { threshold: 2 }),
  'DELETE /alerts/:id': (client) => client.alerts.delete('x'),
  'POST /alerts/:id/test': (client) => client.alerts.test('x'),
  'POST /objects': (client) => client.create('a', 'x'.repeat(300_000)),
  'POST /api-keys': (client) => client.apiKeys.create({ name: 'k', role: 'viewer' }),
  'GET /api-keys': (client) => client.apiKeys.list(),
  'POST /api-keys/:id/rotate': (client) => client.apiKeys.rotate('x'),
  'DELETE /api-keys/:id': (client) => client.apiKeys.revoke('x'),
  'GET /session': (client) => client.whoAmI(),
  'GET /audit': (client) => client.audit({ action: 'job.cancelled' }),
  'GET /stats': (client) => client.stats(),
  'GET /analytics': (client) => client.analytics(),
  'GET /healthz': (client) => client.alive(),
  'GET /readyz': (client) => client.ready(),
  'GET /system': (client) => client.system(),
  'GET /types': (client) => client.types(),
  'GET /types/:type': (client) => client.type('x'),
  'GET /health': (client) => client.health(),
  'GET /metrics': (client) => client.metrics(),
};

describe('the client', () => {
  let coordinator: FakeCoordinator;
  let client: Client;

  beforeEach(async () => {
    coordinator = await FakeCoordinator.start();
    client = new Client({ coordinatorUrl: coordinator.url, apiKey: 'key', proxy: false });
  });
  afterEach(async () => {
    await client.close();
    await coordinator.stop();
  });

  test('has a method for each route of the coordinator', () => {
    const routes = ENDPOINTS.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    expect([...Object.keys(CALLS), ...Object.keys(NO_METHOD)].sort()).toEqual(routes.sort());
  });

  test.each(Object.entries(CALLS))('%s', async (route, call) => {
    const made = call(client);
    // What the answer is like is not asked here.
    await ('next' in made ? made.next() : made).catch(() => undefined);
    const [sent] = coordinator.requests;
    expect(sent?.call.replace(/\/q(?=\/|$)/, '/:name')).toBe(
      route.replace(':deliveryId', 'x').replace(':key', 'x').replace(':id', 'x').replace(':type', 'x'),
    );
  });
});
