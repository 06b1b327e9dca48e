import type { Queue } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { detailLines } from '../../terminal/details';
import { countText } from '../../terminal/numbers';
import { durationText } from '../../terminal/time';
import { limitText, settingsOf } from './settings';

/** A queue for people: its state, and its settings. */
export function showQueue(cli: Cli, queue: Queue): void {
  const { style } = cli.terminal;
  cli.terminal.line(`${style('bold', queue.name)}${queue.paused === null ? '' : style('yellow', ' paused')}`);
  const details = [
    ['waiting', countText(queue.waiting)],
    ['running', countText(queue.running)],
    ['oldest waits', queue.oldestAgeMs === null ? null : durationText(queue.oldestAgeMs)],
    ['in / out', `${countText(queue.inPerMinute)} / ${countText(queue.outPerMinute)} a minute`],
    ['paused', queue.paused === null ? null : pauseText(cli, queue.paused)],
    ...Object.entries(settingsOf(queue)).map(([name, value]) => [name, limitText(value)] as const),
  ] as const;
  for (const line of detailLines(details, style)) cli.terminal.line(line);
}

export function pauseText(cli: Cli, { by, reason, at, untilAt }: NonNullable<Queue['paused']>): string {
  const until = untilAt === null ? '' : `, until ${cli.time(untilAt)}`;
  return `${cli.time(at)} by ${by}${reason === null ? '' : `: ${reason}`}${until}`;
}
