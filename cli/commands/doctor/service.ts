import type { Client, Health, Queue, RunnerView, SystemReport } from '@baton/runner-sdk';
import { SPOKEN_PROTOCOLS } from '@baton/runner-sdk/protocol';
import { countText } from '../../terminal/numbers';
import { durationText } from '../../terminal/time';
import { type Finding, ok, problem, warning } from './finding';

const MONITOR_LATE_MS = 30_000;
const SAMPLE = 200;
const MOST_NAMED = 5;

export function checkMonitor({ monitor: { lagMs } }: Health): Finding {
  if (lagMs !== null && lagMs < MONITOR_LATE_MS) return ok('monitor', 'lost runners are noticed in time');
  const what = lagMs === null ? 'has not finished a round yet' : `is ${durationText(lagMs)} late`;
  return problem(
    'monitor',
    `the timeout monitor ${what}`,
    'Jobs of lost runners are not given to others.',
    'Look into the log of the coordinator; its database may be overloaded.',
  );
}

/** Coordinators of different versions are right only while an upgrade goes on. */
export function checkCoordinators({ coordinators }: SystemReport): Finding {
  const versions = [...new Set(coordinators.map(({ version }) => version ?? 'unknown'))];
  if (versions.length <= 1) return ok('coordinators', `${coordinators.length}, of version ${versions[0] ?? 'unknown'}`);
  return warning(
    'coordinators',
    `${coordinators.length} of the versions ${versions.join(', ')}`,
    'That is meant to last as long as an upgrade.',
    'Finish the upgrade.',
  );
}

export function checkRunners(runners: readonly RunnerView[], coordinatorVersion: string): Finding[] {
  const present = runners.filter(({ status }) => status === 'active' || status === 'draining');
  const lost = runners.filter(({ status }) => status === 'lost');
  const newer = present.filter(({ version }) => version !== null && compareVersions(version, coordinatorVersion) > 0);
  const versions = [...new Set(present.map(({ version }) => version ?? 'unknown'))].sort();
  const protocols = [...new Set(present.map(({ protocol }) => protocol))].sort((one, other) => one - other);
  const old = present.filter(({ protocol }) => protocol < SPOKEN_PROTOCOLS.newest);
  const found = [
    ...(old.length === 0
      ? []
      : [
          warning(
            'runners',
            `${namesOf(old.map(({ id }) => id))} speaking an earlier version of the protocol than ${SPOKEN_PROTOCOLS.newest}`,
            'A coordinator serves its own version and the two before; after that it refuses their calls.',
            'Upgrade the SDK of these runners.',
          ),
        ]),
    ...(newer.length === 0
      ? []
      : [
          warning(
            'runners',
            `${namesOf(newer.map(({ id }) => id))} of a later version than the coordinator (${coordinatorVersion})`,
            'A runner may use what the coordinator does not know yet.',
            'Upgrade coordinators first, then runners.',
          ),
        ]),
    ...(lost.length === 0
      ? []
      : [
          warning(
            'runners',
            `${namesOf(lost.map(({ id }) => id))} not seen for a minute or longer, without a goodbye`,
            'They crashed, were cut off, or were killed before they could drain.',
            'Look at their hosts and logs; give them time to stop (SIGTERM first).',
          ),
        ]),
  ];
  if (found.length > 0) return found;
  return [
    ok(
      'runners',
      present.length === 0
        ? 'none is there'
        : `${present.length}, of version ${versions.join(', ')}, speaking protocol ${protocols.join(', ')}`,
    ),
  ];
}

/** Jobs that wait although nobody who is there takes them. */
export async function checkQueues(
  client: Client,
  queues: readonly Queue[],
  runners: readonly RunnerView[],
): Promise<Finding[]> {
  const active = runners.filter(({ status }) => status === 'active');
  const findings: Finding[] = [];
  for (const { name, waiting, oldestAgeMs, paused } of queues) {
    if (paused !== null && waiting > 0)
      findings.push(
        warning(
          'queues',
          `${name} is paused, and ${countText(waiting)} jobs wait`,
          'They start only when it is resumed.',
          `Run: baton queues resume ${name}`,
        ),
      );
    if (waiting === 0 || oldestAgeMs === null || paused !== null) continue;
    const serving = active.filter((runner) => runner.queues === null || runner.queues.includes(name));
    const taken = new Set(serving.flatMap(({ types }) => types));
    const { items } = await client.list({ queue: name, status: 'pending', limit: SAMPLE });
    const missing = [...new Set(items.map(({ type }) => type))].filter((type) => !taken.has(type));
    if (missing.length === 0) continue;
    findings.push(
      problem(
        'queues',
        serving.length === 0
          ? `nobody serves ${name}: ${countText(waiting)} jobs wait, the oldest ${durationText(oldestAgeMs)}`
          : `no runner of ${name} takes ${namesOf(missing)}`,
        'These jobs wait until a runner comes that takes them.',
        `Start a runner for ${namesOf(missing)} that claims from ${name}, or look at one: baton jobs explain ID`,
      ),
    );
  }
  return findings.length > 0 ? findings : [ok('queues', 'each that has work is served')];
}

function namesOf(names: readonly string[]): string {
  const more = names.length - MOST_NAMED;
  return `${names.slice(0, MOST_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** By their numbers; above 0: the first is later. Versions of another form are never later. */
function compareVersions(one: string, other: string): number {
  const numbers = (version: string) => (/^\d+\.\d+\.\d+/.exec(version)?.[0] ?? '').split('.').map(Number);
  const [left, right] = [numbers(one), numbers(other)];
  if (left.length < 3 || right.length < 3) return 0;
  const at = left.findIndex((part, index) => part !== right[index]);
  return at < 0 ? 0 : (left[at] ?? 0) - (right[at] ?? 0);
}
