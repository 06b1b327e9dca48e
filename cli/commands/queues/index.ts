import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Queue } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { addExamples } from '../../examples';
import { parseDuration, parseFutureTime } from '../../input/durations';
import { parseWhole } from '../../input/values';
import { countText } from '../../terminal/numbers';
import type { Column } from '../../terminal/table';
import { durationText } from '../../terminal/time';
import { addApplyCommands } from './apply';
import { addSetCommand } from './set';
import { limitText } from './settings';
import { pauseText, showQueue } from './show';

/** `baton queues …` */
export function addQueueCommands(program: CommandUnknownOpts, cli: Cli): void {
  const queues = program.command('queues').alias('queue').description('look at queues, pause them, set their limits');
  addReading(queues, cli);
  addPauses(queues, cli);
  addSetCommand(queues, cli);
  addApplyCommands(queues, cli);
}

function addReading(queues: CommandUnknownOpts, cli: Cli): void {
  const list = queues
    .command('list')
    .alias('ls')
    .description('list all queues: depth, ages, rates, limits, pauses')
    .action(async () => {
      const items = await (await cli.client()).queues();
      cli.list({ items }, items, queueColumns(cli), 'There are no queues yet; the first job in one makes it.');
    });
  addExamples(list, [['baton queues list', 'All queues']]);

  const get = queues
    .command('get')
    .alias('show')
    .description('show one queue and its settings')
    .argument('<name>', 'name of the queue')
    .action(async (name) => {
      const queue = await (await cli.client()).queue(name);
      cli.show(queue, () => showQueue(cli, queue));
    });
  addExamples(get, [['baton queues get mail', 'One queue']]);

  const scale = queues
    .command('scale')
    .description('say how many runners a queue needs')
    .argument('<name>', 'name of the queue')
    .option('--target <duration>', 'how long a due job may wait; default: 10s', parseDuration)
    .option('--per-runner <count>', 'how many jobs one runner runs at the same time; default: 1', parseWhole(1, 10_000))
    .action(async (name, { target, perRunner }) => {
      const wanted = await (await cli.client()).scale(name, { targetMs: target, perRunner });
      cli.show(wanted, () => cli.terminal.line(String(wanted.wanted)));
    });
  addExamples(scale, [['baton queues scale mail --target 30s --per-runner 10', 'For an autoscaler of your own']]);
}

function addPauses(queues: CommandUnknownOpts, cli: Cli): void {
  const pause = queues
    .command('pause')
    .description('give out no more jobs of a queue; what runs goes on')
    .argument('<name>', 'name of the queue')
    .option('--reason <text>', 'why; shown in the list')
    .option('--until <time>', 'when the pause ends by itself: a time, or in 2h', parseFutureTime)
    .action(async (name, { reason, until }) => {
      const queue = await (await cli.client()).pauseQueue(name, { reason, untilAt: until });
      cli.show(queue, () => cli.terminal.line(`${name} is paused; ${countText(queue.waiting)} jobs wait.`));
    });
  addExamples(pause, [['baton queues pause mail --reason "provider is down" --until 2h', 'For two hours at most']]);

  const resume = queues
    .command('resume')
    .description('end the pause of a queue')
    .argument('<name>', 'name of the queue')
    .action(async (name) => {
      const queue = await (await cli.client()).resumeQueue(name);
      cli.show(queue, () => cli.terminal.line(`${name} is resumed; ${countText(queue.waiting)} jobs wait.`));
    });
  addExamples(resume, [['baton queues resume mail', 'Go on']]);

  const purge = queues
    .command('purge')
    .description('cancel all that waits in a queue; what runs goes on')
    .argument('<name>', 'name of the queue')
    .action(async (name) => {
      const client = await cli.client();
      const { waiting } = await client.queue(name);
      await cli.confirm(`Cancel the ${countText(waiting)} jobs that wait in ${name}?`);
      const count = await client.purgeQueue(name);
      cli.show({ count }, () => cli.terminal.line(`${countText(count)} jobs were cancelled.`));
    });
  addExamples(purge, [['baton queues purge trial', 'Empty a queue, after being asked']]);
}

function queueColumns(cli: Cli): Column<Queue>[] {
  return [
    { title: 'QUEUE', of: (queue) => queue.name, least: 10 },
    { title: 'WAITING', of: (queue) => countText(queue.waiting), align: 'right' },
    { title: 'RUNNING', of: (queue) => countText(queue.running), align: 'right' },
    {
      title: 'OLDEST',
      of: (queue) => (queue.oldestAgeMs === null ? null : durationText(queue.oldestAgeMs)),
      align: 'right',
      drop: 1,
    },
    { title: 'IN/MIN', of: (queue) => countText(queue.inPerMinute), align: 'right', drop: 3 },
    { title: 'OUT/MIN', of: (queue) => countText(queue.outPerMinute), align: 'right', drop: 3 },
    { title: 'LIMITS', of: limitsOf, least: 10, drop: 4 },
    {
      title: 'PAUSED',
      of: (queue) => (queue.paused === null ? null : pauseText(cli, queue.paused)),
      look: (queue) => (queue.paused === null ? undefined : 'yellow'),
      least: 10,
      drop: 2,
    },
  ];
}

function limitsOf({
  concurrency,
  concurrencyPerKey,
  rateLimit,
  keyRateLimit,
  userRateLimit,
  maxWaiting,
}: Queue): string {
  return [
    concurrency === null ? [] : `${concurrency} at once`,
    concurrencyPerKey === null ? [] : `${concurrencyPerKey} a key`,
    rateLimit === null ? [] : limitText(rateLimit),
    keyRateLimit === null ? [] : `${limitText(keyRateLimit)} a key`,
    userRateLimit === null ? [] : `${limitText(userRateLimit)} a user`,
    maxWaiting === null ? [] : `${countText(maxWaiting)} waiting`,
  ]
    .flat()
    .join(', ');
}
