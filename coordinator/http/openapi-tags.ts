import { type AnyEndpoint, RUNNERS } from './endpoint';

interface Tag {
  name: string;
  description: string;
}

const WORK: Tag = {
  name: 'Work',
  description: 'All that a runner says: it claims jobs, keeps their leases, and reports what became of them.',
};
const SERVICE: Tag = {
  name: 'Service',
  description: 'Whether the coordinator lives and works, its figures, and what it can do.',
};

/** What operations are about, by how their paths begin; in the order in which they are shown. */
const ABOUT: Record<string, Tag> = {
  jobs: { name: 'Jobs', description: 'Create jobs, one or a thousand; read, steer, cancel and retry them.' },
  'bulk-operations': { name: 'Jobs', description: '' },
  workflows: {
    name: 'Workflows',
    description: 'Jobs that wait for one another, and are given what the former ones made.',
  },
  batches: { name: 'Batches', description: 'Many jobs as one, with jobs that follow when all have ended.' },
  schedules: { name: 'Schedules', description: 'Jobs by the clock.' },
  queues: { name: 'Queues', description: 'How much waits where, and at which pace it may go.' },
  'rate-limits': { name: 'Queues', description: '' },
  'dead-letters': {
    name: 'Dead letters',
    description: 'Jobs that were given up: why, how many alike, and again from the start.',
  },
  runners: { name: 'Runners', description: 'Who does the work.' },
  events: { name: 'Events', description: 'What happens, as it happens.' },
  stats: { name: 'Figures', description: 'How much, how fast and how well.' },
  analytics: { name: 'Figures', description: '' },
  webhooks: { name: 'Webhooks', description: 'What happens, told to other services.' },
  'callback-secret': { name: 'Webhooks', description: '' },
  alerts: { name: 'Alerts', description: 'Rules that tell when something goes wrong, and when it is well again.' },
  'api-keys': { name: 'Access', description: 'Keys, sessions, and who did what.' },
  session: { name: 'Access', description: '' },
  audit: { name: 'Access', description: '' },
  cleanup: { name: 'Service', description: '' },
};

export function tagOf({ path, roles }: AnyEndpoint): string {
  return roles === RUNNERS ? WORK.name : (ABOUT[path.split('/')[1] ?? ''] ?? SERVICE).name;
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
