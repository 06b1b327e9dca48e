import type { IconName } from '../parts/icon';
import type { Rights } from '../api/session';

export interface Place {
  path: string;
  title: string;
  icon: IconName;
  /** The second key after g that leads there. */
  key: string;
  group: 'Work' | 'Fleet' | 'Insight' | 'Administration';
  isFor: (rights: Rights) => boolean;
}

const everybody = (): boolean => true;
const operators = ({ isOperator }: Rights): boolean => isOperator;
const clients = ({ isClient }: Rights): boolean => isClient;
const admins = ({ isAdmin }: Rights): boolean => isAdmin;

/** Every screen that the navigation and the command palette lead to. */
export const PLACES: readonly Place[] = [
  { path: '/', title: 'Overview', icon: 'overview', key: 'o', group: 'Work', isFor: everybody },
  { path: '/jobs', title: 'Jobs', icon: 'jobs', key: 'j', group: 'Work', isFor: everybody },
  { path: '/schedules', title: 'Schedules', icon: 'schedule', key: 's', group: 'Work', isFor: everybody },
  { path: '/workflows', title: 'Workflows', icon: 'workflow', key: 'f', group: 'Work', isFor: everybody },
  { path: '/batches', title: 'Batches', icon: 'batch', key: 'b', group: 'Work', isFor: everybody },
  { path: '/dead-letters', title: 'Dead letters', icon: 'dead', key: 'd', group: 'Work', isFor: everybody },
  { path: '/queues', title: 'Queues', icon: 'queue', key: 'q', group: 'Fleet', isFor: operators },
  { path: '/runners', title: 'Runners', icon: 'runner', key: 'r', group: 'Fleet', isFor: operators },
  { path: '/analytics', title: 'Analytics', icon: 'analytics', key: 'a', group: 'Insight', isFor: everybody },
  { path: '/alerts', title: 'Alerts', icon: 'alert', key: 'l', group: 'Insight', isFor: operators },
  { path: '/webhooks', title: 'Webhooks', icon: 'webhook', key: 'w', group: 'Administration', isFor: clients },
  { path: '/api-keys', title: 'API keys', icon: 'key', key: 'k', group: 'Administration', isFor: admins },
  { path: '/audit', title: 'Audit', icon: 'audit', key: 'u', group: 'Administration', isFor: admins },
  { path: '/system', title: 'System', icon: 'system', key: 'y', group: 'Administration', isFor: operators },
];

export function placesFor(rights: Rights): readonly Place[] {
  return PLACES.filter(({ isFor }) => isFor(rights));
}
