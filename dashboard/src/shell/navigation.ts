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
const admins = ({ isAdmin }: Rights): boolean => isAdmin;

/** Every screen that the navigation and the command palette lead to. */
export const PLACES: readonly Place[] = [
  { path: '/', title: 'Overview', icon: 'overview', key: 'o', group: 'Work', isFor: everybody },
  { path: '/jobs', title: 'Jobs', icon: 'jobs', key: 'j', group: 'Work', isFor: everybody },
];

export function placesFor(rights: Rights): readonly Place[] {
  return PLACES.filter(({ isFor }) => isFor(rights));
}

export { admins, everybody, operators };
