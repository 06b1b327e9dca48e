import type { ClientEvent } from '@baton/runner-sdk';
import type { Cli } from '../cli';
import { type Look, lookOf } from '../terminal/style';
import { jsonText, oneLine } from '../terminal/text';

const LOOKS = new Map<string, Look>([
  ['job.completed', 'green'],
  ['job.failed', 'red'],
  ['job.retrying', 'yellow'],
  ['job.cancelled', 'dim'],
  ['job.claimed', 'cyan'],
  ['alert.firing', 'red'],
  ['alert.resolved', 'green'],
  ['webhook.disabled', 'red'],
]);

/** An event on one line: when, what, to which job. */
export function eventLine(cli: Cli, event: ClientEvent): string {
  const { style } = cli.terminal;
  const at = style('dim', event.at);
  const name = style(LOOKS.get(event.name), event.name.padEnd(14));
  if (!('jobId' in event)) return `${at} ${name} ${detailText(event.details)}`;
  const runner = event.runnerId === null || event.name === 'job.created' ? '' : ` by ${oneLine(event.runnerId)}`;
  return `${at} ${name} ${event.jobId} ${event.type} in ${event.queue}${runner} ${detailText(event.details)}`.trimEnd();

  function detailText(details: ClientEvent['details']): string {
    if (details === null) return '';
    const { percent, message, level } = details;
    if (typeof percent === 'number') return `${percent} % ${typeof message === 'string' ? oneLine(message) : ''}`;
    if (typeof level === 'string' && typeof message === 'string')
      return `${style(lookOf(level), level)} ${oneLine(message)}`;
    return style('dim', jsonText(details));
  }
}
