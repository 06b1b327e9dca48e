import type { Alert, Health, Queue, RunnerView, Stats, WorkflowSummary } from '@baton/runner-sdk/protocol';
import { useMemo } from 'react';
import { Link } from 'wouter';
import { type Page, useAlerts, useHealth, useQueues, useRunners, useWaitingWorkflows } from '../../api/reads';
import { count, duration, percent, plural, visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { Card } from '../../parts/page';
import classes from './overview.module.css';

interface Concern {
  id: string;
  tone: 'bad' | 'warning';
  text: string;
  href: string;
  /** What the link says. */
  look: string;
}

/** From here on a due job has been waiting for long. */
const LONG_WAIT_MS = 60_000;
const HIGH_FAILURE_RATE = 0.05;
/** Fewer tell nothing of a rate. */
const ENOUGH_ENDED = 20;
const MOST_SHOWN = 6;

/** What needs somebody now, in words, and where to see to it. */
export function Attention({ stats }: { stats: Stats }) {
  const alerts = useAlerts().data;
  const queues = useQueues().data?.items;
  const runners = useRunners().data;
  const health = useHealth().data;
  const workflows = useWaitingWorkflows().data;
  const concerns = useMemo(
    // What only a person can do comes first.
    () => [...ofGates(workflows), ...concernsOf(stats, alerts ?? [], queues ?? [], runners ?? [], health)],
    [stats, alerts, queues, runners, health, workflows],
  );
  return (
    <Card title="Needs attention">
      {concerns.length === 0 ? (
        <div className={classes.well}>
          <Icon name="check" /> <span>Nothing. Work is flowing, and nothing waits for long.</span>
        </div>
      ) : (
        <ul className={classes.attention}>
          {concerns.slice(0, MOST_SHOWN).map(({ id, tone, text, href, look }) => (
            <li key={id} data-tone={tone}>
              <Icon name="dead" />
              <span>
                {text} <Link href={href}>{look}</Link>
              </span>
            </li>
          ))}
          {concerns.length > MOST_SHOWN && <li>and {concerns.length - MOST_SHOWN} more</li>}
        </ul>
      )}
    </Card>
  );
}

function concernsOf(
  stats: Stats,
  alerts: readonly Alert[],
  queues: readonly Queue[],
  runners: readonly RunnerView[],
  health: Health | undefined,
): Concern[] {
  return [
    ...alerts.filter(({ state, enabled }) => enabled && state === 'firing').map(ofAlert),
    ...(health?.status === 'degraded' ? [LATE_MONITOR] : []),
    ...withoutRunners(stats, runners),
    ...queues.flatMap(ofQueue),
    ...ofFailures(stats),
    ...lost(runners),
  ].sort((one, other) => Number(other.tone === 'bad') - Number(one.tone === 'bad'));
}

const LATE_MONITOR: Concern = {
  id: 'monitor',
  tone: 'bad',
  text: 'The timeout monitor is late, so lost jobs are found late.',
  href: '/system',
  look: 'See the coordinator',
};

function ofAlert({ id, name, since }: Alert): Concern {
  return {
    id: `alert ${id}`,
    tone: 'bad',
    text: `The alert ${visible(name)} has been firing for ${duration(Math.max(0, Date.now() - Date.parse(since)))}.`,
    href: '/alerts',
    look: 'See the alert',
  };
}

/** Types that wait though no runner takes them. */
function withoutRunners({ types }: Stats, runners: readonly RunnerView[]): Concern[] {
  const taken = new Set(runners.filter(({ status }) => status === 'active').flatMap((runner) => runner.types));
  return types
    .filter(
      ({ type, waiting, oldestAgeMs }) => waiting > 0 && oldestAgeMs !== null && runners.length > 0 && !taken.has(type),
    )
    .map(({ type, waiting }) => ({
      id: `type ${type}`,
      tone: 'bad' as const,
      text: `${plural(waiting, 'job')} of the type ${visible(type)} ${waiting === 1 ? 'waits' : 'wait'}, and no runner takes that type.`,
      href: `/jobs?status=pending&type=${encodeURIComponent(type)}`,
      look: 'See the jobs',
    }));
}

function ofQueue({ name, paused, waiting, oldestAgeMs }: Queue): Concern[] {
  const href = `/queues/${encodeURIComponent(name)}`;
  if (paused !== null && waiting > 0)
    return [
      {
        id: `paused ${name}`,
        tone: 'warning',
        text: `The queue ${visible(name)} is paused by ${visible(paused.by)}, and ${plural(waiting, 'job')} ${waiting === 1 ? 'waits' : 'wait'} in it.`,
        href,
        look: 'See the queue',
      },
    ];
  if (oldestAgeMs === null || oldestAgeMs < LONG_WAIT_MS) return [];
  return [
    {
      id: `late ${name}`,
      tone: 'warning',
      text: `In the queue ${visible(name)} a due job has been waiting for ${duration(oldestAgeMs)}.`,
      href,
      look: 'See the queue',
    },
  ];
}

function ofFailures({ lastHour, deadLetters }: Stats): Concern[] {
  const { completed, failed } = lastHour.jobs;
  if (failed === 0) return [];
  const isMuch = completed + failed >= ENOUGH_ENDED && (lastHour.failureRate ?? 0) >= HIGH_FAILURE_RATE;
  const share = isMuch ? `, ${percent(lastHour.failureRate)} of what ended` : '';
  return [
    {
      id: 'failed',
      tone: isMuch ? 'bad' : 'warning',
      text: `${plural(failed, 'job')} failed for good within the hour${share}. ${count(deadLetters)} dead in all.`,
      href: '/dead-letters',
      look: 'See why',
    },
  ];
}

/** Workflows that stand still until somebody decides. */
function ofGates(workflows: Page<WorkflowSummary> | undefined): Concern[] {
  const [first, ...others] = workflows?.items ?? [];
  if (first === undefined) return [];
  const id = 'gates';
  if (others.length === 0)
    return [
      {
        id,
        tone: 'warning',
        text: `The workflow ${visible(first.name)} waits for a decision.`,
        href: `/workflows/${first.id}`,
        look: 'Decide',
      },
    ];
  const atLeast = (workflows?.nextCursor ?? null) === null ? '' : 'More than ';
  return [
    {
      id,
      tone: 'warning',
      text: `${atLeast}${plural(others.length + 1, 'workflow')} wait for a decision.`,
      href: '/workflows?gate=waiting',
      look: 'See the workflows',
    },
  ];
}

function lost(runners: readonly RunnerView[]): Concern[] {
  const silent = runners.filter(({ status, running }) => status === 'lost' && running > 0);
  if (silent.length === 0) return [];
  return [
    {
      id: 'lost',
      tone: 'bad',
      text: `${plural(silent.length, 'runner')} with running jobs ${silent.length === 1 ? 'has' : 'have'} not been heard of for a minute.`,
      href: '/runners',
      look: 'See the runners',
    },
  ];
}
