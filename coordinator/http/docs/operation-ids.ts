/** Names that differ from the rules below. */
const NAMES = new Map([
  ['POST /jobs/bulk', 'createJobs'],
  ['POST /jobs/heartbeat', 'sendHeartbeats'],
  ['POST /jobs/:id/heartbeat', 'sendHeartbeat'],
  ['GET /jobs/:id/wait', 'waitForJob'],
  ['GET /jobs/:id/explain', 'explainJob'],
  ['GET /jobs/:id/events', 'streamJobEvents'],
  ['GET /events', 'streamEvents'],
  ['POST /jobs/:id/callbacks/resend', 'resendJobCallback'],
  ['DELETE /jobs/:id', 'cancelOrDeleteJob'],
  ['GET /cleanup', 'previewCleanup'],
  ['POST /cleanup', 'cleanUpJobs'],
  ['POST /dead-letters/cleanup', 'cleanUpDeadLetters'],
  ['GET /rate-limits', 'getRateLimits'],
  ['POST /webhooks/:id/rotate', 'rotateWebhookSecret'],
  ['GET /audit', 'listAuditEntries'],
  ['POST /batches/:id/jobs', 'addBatchJobs'],
  ['GET /batches/:id/wait', 'waitForBatch'],
  ['POST /workflows/:id/jobs', 'addWorkflowJobs'],
  ['GET /workflows/:id/wait', 'waitForWorkflow'],
  ['POST /workflows/:id/gates/:key', 'decideGate'],
  ['POST /workflows/:id/gates/:key/link', 'createGateLink'],
  ['GET /gates/:id', 'getLinkedGate'],
  ['POST /gates/:id', 'decideLinkedGate'],
  ['DELETE /api-keys/:id', 'revokeApiKey'],
  ['POST /session', 'openSession'],
  ['DELETE /session', 'closeSession'],
  ['GET /stats', 'getStats'],
  ['GET /analytics', 'getAnalytics'],
  ['GET /metrics', 'getMetrics'],
  ['GET /healthz', 'checkLiveness'],
  ['GET /readyz', 'checkReadiness'],
  ['GET /', 'getWelcome'],
  ['GET /openapi.json', 'getOpenApiDocument'],
  ['GET /llms.txt', 'getLlmsText'],
  ['GET /docs/reference.css', 'getReferenceStyle'],
  ['GET /docs/reference.js', 'getReferenceScript'],
  ['GET /docs', 'getReference'],
]);

const BY_METHOD = new Map([
  ['get', 'get'],
  ['post', 'create'],
  ['put', 'set'],
  ['patch', 'update'],
  ['delete', 'delete'],
]);

/**
 * The name of the operation's method in generated clients: `createJob`, `listJobs`, `getJob`, `retryJob` for `POST
 * /jobs/:id/retry`, `retryJobs` for `POST /jobs/retry`, `listJobAttempts` for `GET /jobs/:id/attempts`.
 */
export function operationId({ method, path }: { method: string; path: string }): string {
  const name = NAMES.get(`${method.toUpperCase()} ${path}`);
  if (name !== undefined) return name;
  const [collection = '', ...rest] = path.split('/').slice(1);
  const last = rest.at(-1);
  if (last === undefined) {
    if (method === 'get') return words(collection.endsWith('s') ? 'list' : 'get', collection);
    return words(BY_METHOD.get(method) ?? method, singular(collection));
  }
  const isOne = rest[0]?.startsWith(':') === true;
  const things = isOne ? singular(collection) : collection;
  if (last.startsWith(':')) return words(BY_METHOD.get(method) ?? method, ...parents(collection, rest));
  if (method === 'get') return words(last.endsWith('s') ? 'list' : 'get', singular(collection), last);
  const [verb = '', ...more] = last.split('-');
  const inner = rest.length > 2 ? [singular(rest[1] ?? '')] : [];
  return words(verb, things, ...inner, ...more);
}

/** For `/webhooks/:id/deliveries/:deliveryId`: webhook, delivery. */
function parents(collection: string, rest: string[]): string[] {
  return [collection, ...rest.filter((part) => !part.startsWith(':'))].map(singular);
}

function singular(word: string): string {
  return word.endsWith('ies') ? `${word.slice(0, -3)}y` : word.replace(/(?<=ch)es$|s$/, '');
}

/** In camel case. */
function words(...parts: string[]): string {
  const all = parts.flatMap((part) => part.split(/[^A-Za-z0-9]+/)).filter((part) => part !== '');
  return all.map((word, index) => (index === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1))).join('');
}
