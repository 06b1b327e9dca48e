import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Cli } from '../../cli';
import { Failure, isBatonError } from '../../exit-codes';
import { addExamples } from '../../examples';
import { parseDuration } from '../../input/durations';
import { readJsonObject } from '../../input/json';
import { NONE, parseLimit, parsePriority, parseWhole } from '../../input/values';
import { parseRate } from './settings';
import { showQueue } from './show';

const MOST = 1_000_000;

/** `queues set` */
export function addSetCommand(queues: CommandUnknownOpts, cli: Cli): void {
  const set = queues
    .command('set')
    .description('set limits, defaults, retention and prices of a queue; what is left out stays as it is')
    .argument('<name>', 'name of the queue; it need not exist yet')
    .option('--concurrency <count>', 'how many jobs run at the same time, or none', parseLimit(MOST))
    .option('--concurrency-per-key <count>', 'how many with the same concurrency key, or none', parseLimit(MOST))
    .option('--rate-limit <rate>', 'how many jobs start, such as 100/1m, or none', parseRate)
    .option(
      '--key-rate-limit <rate>',
      'how many start with the same concurrency key, such as 10/1m, or none',
      parseRate,
    )
    .option('--user-rate-limit <rate>', 'how many jobs each user creates, such as 10/1h, or none', parseRate)
    .option('--max-waiting <count>', 'how many jobs may wait, or none', parseLimit(100_000_000))
    .option('--fair', 'users and concurrency keys take turns')
    .option('--no-fair', 'they do not')
    .option('--check-arguments', 'arguments must fit a schema that runners have published')
    .option('--no-check-arguments', 'they need not')
    .option('--default-priority <priority>', 'of jobs that bring none', parsePriority)
    .option('--default-max-attempts <count>', 'of jobs that bring none', parseWhole(1, 1000))
    .option('--default-timeout <duration>', 'of jobs that bring none', parseDuration)
    .option('--default-retry <json>', 'of jobs that bring none')
    .option('--no-defaults', 'take all defaults away')
    .option('--keep-completed <duration>', 'how long completed jobs are kept', parseDuration)
    .option('--keep-failed <duration>', 'how long failed jobs are kept', parseDuration)
    .option('--keep-cancelled <duration>', 'how long cancelled jobs are kept', parseDuration)
    .option('--no-retention', "keep them as the coordinator's settings say")
    .option('--cost <json>', 'prices of an attempt, such as {"base":0.01,"perSecond":0.002}')
    .option('--no-cost', 'take the prices away')
    .action(async (name, options, command) => {
      const client = await cli.client();
      const current = await client.queue(name).catch((error: unknown) => {
        if (isBatonError(error) && error.code === 'not_found') return undefined;
        throw error;
      });
      const isGiven = (option: string) => command.getOptionValueSource(option) === 'cli';
      const defaults = present({
        priority: options.defaultPriority,
        maxAttempts: options.defaultMaxAttempts,
        timeoutMs: options.defaultTimeout,
        retry:
          options.defaultRetry === undefined
            ? undefined
            : await readJsonObject(options.defaultRetry, 'the value of --default-retry', cli.terminal.streams),
      });
      const retention = present({
        completedMs: options.keepCompleted,
        failedMs: options.keepFailed,
        cancelledMs: options.keepCancelled,
      });
      const settings = present({
        concurrency: options.concurrency,
        concurrencyPerKey: options.concurrencyPerKey,
        rateLimit: options.rateLimit,
        keyRateLimit: options.keyRateLimit,
        userRateLimit: options.userRateLimit,
        maxWaiting: options.maxWaiting,
        fair: isGiven('fair') ? options.fair : undefined,
        checkArguments: isGiven('checkArguments') ? options.checkArguments : undefined,
        // The API replaces these as a whole.
        defaults: merged(options.defaults, current?.defaults, defaults),
        retention: merged(options.retention, current?.retention, retention),
        cost:
          options.cost === false
            ? null
            : typeof options.cost === 'string'
              ? await readJsonObject(options.cost, 'the value of --cost', cli.terminal.streams)
              : undefined,
      });
      if (Object.keys(settings).length === 0)
        throw new Failure('usage', 'nothing to set', 'baton queues set --help lists what can be set.');
      const queue = await client.setQueue(name, settings);
      cli.show(queue, () => showQueue(cli, queue));
    });
  addExamples(set, [
    ['baton queues set mail --concurrency 20 --rate-limit 100/1m', 'At most 20 at once, and 100 a minute'],
    ['baton queues set mail --key-rate-limit 30/1m', 'At most 30 a minute with one concurrency key'],
    ['baton queues set mail --rate-limit none', 'Take a limit away'],
    ['baton queues set video --default-timeout 2h --keep-completed 7d', 'For long jobs that are not kept for long'],
  ]);
}

/** Undefined: unchanged. Null: removed. */
function merged(isWanted: boolean, current: object | null | undefined, changes: object): object | null | undefined {
  if (Object.keys(changes).length > 0) return { ...(isWanted ? current : {}), ...changes };
  return isWanted ? undefined : null;
}

function present(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, value === NONE ? null : value]),
  );
}
