import { type AnyEndpoint, RUNNERS } from '../core/endpoint';

interface Tag {
  name: string;
  description: string;
}

const WORK: Tag = {
  name: 'Runner protocol',
  description:
    'The calls of a runner: it claims jobs, extends their leases with heartbeats, and reports their outcomes.',
};
const SERVICE: Tag = {
  name: 'Service',
  description: 'Health, metrics, cleanup and this documentation.',
};

/** Topics of operations, by the start of their paths; in the order in which they are shown. */
const ABOUT: Record<string, Tag> = {
  jobs: {
    name: 'Jobs',
    description: 'Create jobs, one or up to 1,000 in a call; read, change, cancel and retry them.',
  },
  'bulk-operations': { name: 'Jobs', description: '' },
  workflows: {
    name: 'Workflows',
    description: 'Jobs that depend on one another and receive the results of those before them.',
  },
  gates: { name: 'Workflows', description: '' },
  batches: { name: 'Batches', description: 'Many jobs handled as one, with callback jobs when all have finished.' },
  schedules: { name: 'Schedules', description: 'Jobs created by cron expressions and intervals.' },
  queues: { name: 'Queues', description: 'Depth, rates, limits and pauses of queues.' },
  'rate-limits': { name: 'Queues', description: '' },
  'dead-letters': {
    name: 'Dead letters',
    description: 'Jobs that failed for good: list them, group them by error, retry or delete them.',
  },
  runners: { name: 'Runners', description: 'List runners, drain and resume them, and the types that they serve.' },
  types: { name: 'Runners', description: '' },
  events: { name: 'Events', description: 'Live events of jobs as server-sent events or over WebSockets.' },
  stats: { name: 'Statistics', description: 'Current load, and statistics over time.' },
  analytics: { name: 'Statistics', description: '' },
  webhooks: { name: 'Webhooks', description: 'Events and job callbacks posted to other services.' },
  'callback-secret': { name: 'Webhooks', description: '' },
  alerts: {
    name: 'Alerts',
    description: 'Rules that notify when a measurement exceeds a threshold, and when it recovers.',
  },
  objects: { name: 'Objects', description: 'Arguments and results that are too large for a job.' },
  'api-keys': { name: 'Access', description: 'API keys, browser sessions and the audit log.' },
  session: { name: 'Access', description: '' },
  audit: { name: 'Access', description: '' },
  cleanup: { name: 'Service', description: '' },
};

export function tagOf({ path, roles }: AnyEndpoint): string {
  return roles === RUNNERS ? WORK.name : aboutOf(path.split('/')[1] ?? '').name;
}

function aboutOf(collection: string): Tag {
  return Object.hasOwn(ABOUT, collection) ? (ABOUT[collection] ?? SERVICE) : SERVICE;
}

/** Those that these operations have, in their order. */
export function tagsOf(endpoints: readonly AnyEndpoint[]): Tag[] {
  const used = new Set(endpoints.map(tagOf));
  const { jobs, ...others } = ABOUT;
  const ordered = [jobs, WORK, ...Object.values(others), SERVICE].filter(
    (tag) => tag !== undefined && tag.description !== '' && used.has(tag.name),
  );
  return ordered.filter((tag) => tag !== undefined);
}
