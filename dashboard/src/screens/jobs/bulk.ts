import { patch, post } from '../../api/call';
import type { JobLine } from './use-job-list';

/** What a call on many jobs is about: some of them, or all that match. */
export type Choice = { filter: object } | { all: true };

export type Verb = 'retry' | 'cancel' | 'purge' | 'prioritise';

/** The API takes so many ids at once. */
const MOST_IDS = 100;

export function choiceOf(ids: readonly string[]): Choice[] {
  const choices: Choice[] = [];
  for (let from = 0; from < ids.length; from += MOST_IDS)
    choices.push({ filter: { id: ids.slice(from, from + MOST_IDS) } });
  return choices;
}

/** How many jobs it would change. */
export async function countChanged(verb: Verb, choices: readonly Choice[], extra: object = {}): Promise<number> {
  return sum(await Promise.all(choices.map((choice) => apply(verb, { ...choice, ...extra, dryRun: true }))));
}

export async function change(verb: Verb, choices: readonly Choice[], extra: object = {}): Promise<number> {
  const counts: number[] = [];
  for (const choice of choices) counts.push(await apply(verb, { ...choice, ...extra }));
  return sum(counts);
}

/** Gives jobs back the priorities that they had. */
export async function restorePriorities(lines: readonly JobLine[]): Promise<void> {
  await Promise.all(lines.map(({ id, priority }) => patch(['jobs', id], { priority })));
}

async function apply(verb: Verb, body: object): Promise<number> {
  const { count, matched } = await post<{ count?: number; matched?: number }>(['jobs', verb], body);
  return count ?? matched ?? 0;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, each) => total + each, 0);
}
