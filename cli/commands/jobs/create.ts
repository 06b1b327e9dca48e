import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Client, CreateOptions, Job } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { Ending, Failure, isNamed } from '../../exit-codes';
import { addExamples } from '../../examples';
import { choice } from '../../input/choices';
import { parseDuration, parseFutureTime } from '../../input/durations';
import { readJson, readJsonObject, readMembers, requireObject } from '../../input/json';
import { collect, collectLabels, parsePriority, parseWhole } from '../../input/values';
import { durationText } from '../../terminal/time';
import { progressLine } from './progress-line';
import { showJob } from './show';

const CONFLICTS = ['keep', 'replace'] as const;
const ON_FAILURE = ['block', 'skip'] as const;
const MAX_ATTEMPTS = 1000;

/** `jobs create` */
export function addCreateCommand(jobs: CommandUnknownOpts, cli: Cli): void {
  const create = jobs
    .command('create')
    .description('create a job')
    .argument('[type]', 'its type; left out with --from')
    .argument('[arguments]', 'its arguments as JSON, @file, or - for standard input; default: {}')
    .option('-a, --arg <name=value>', 'one argument: name=text, or name:=JSON; may be repeated', collect)
    .option('--from <file>', 'a whole job as the API takes it, in JSON (- for standard input); options overrule it')
    .option('-Q, --queue <queue>', 'the queue; default: "default"')
    .option('-p, --priority <priority>', 'high, normal, low, or -100 to 100; higher first', parsePriority)
    .option('--delay <duration>', 'do not start it before so long, such as 5m', parseDuration)
    .option('--run-at <time>', 'do not start it before this time', parseFutureTime)
    .option('--expires <time>', 'cancel it unless it has started by this time, or within 2h', parseFutureTime)
    .option('--timeout <duration>', 'how long one attempt may take', parseDuration)
    .option('--max-attempts <count>', 'after how many failures it fails for good', parseWhole(1, MAX_ATTEMPTS))
    .option('--retry <json>', 'how long to wait between attempts, such as {"strategy":"fixed","baseMs":1000}')
    .option('--unique-key <key>', 'while an unfinished job of the type has it, that one is answered instead')
    .option('--unique-for <duration>', 'how long the unique key is held, though the job completes', parseDuration)
    .addOption(choice('--on-conflict <what>', 'what happens to a waiting job with the unique key', CONFLICTS))
    .option('--concurrency-key <key>', 'jobs of the queue with the same key share a limit')
    .option('--order-key <key>', 'jobs of the queue with the same key run one after the other')
    .addOption(choice('--order-on-failure <what>', 'if it fails, whether those behind it are held back', ON_FAILURE))
    .option('--require <label=value>', 'a label that its runner must have; may be repeated', collectLabels)
    .option('--prefer <label=value>', 'a label that its runner should have; may be repeated', collectLabels)
    .option('--tag <tag>', 'a word to find it by; may be repeated', collect)
    .option('--metadata <json>', 'a JSON object kept with it')
    .option('-u, --user <userId>', 'whose job it is')
    .option('--callback-url <url>', 'where its end is posted to')
    .option('--idempotency-key <key>', 'the same create again is the same job; default: random')
    .option('-w, --wait', 'wait until it has finished, and print its result; exit code 7 if it failed')
    .option('--wait-timeout <duration>', 'wait no longer than this (exit code 9)', parseDuration)
    .action(async (type, args, options) => {
      const {
        type: fromType,
        arguments: fromArguments,
        ...base
      } = options.from === undefined
        ? {}
        : requireObject(
            await readJson(options.from === '-' ? '-' : `@${options.from}`, '--from', cli.terminal.streams),
            options.from,
          );
      const wantedType = type ?? fromType;
      if (typeof wantedType !== 'string')
        throw new Failure('usage', 'the type is missing', 'Usage: baton jobs create TYPE [ARGUMENTS]');
      const members = options.arg === undefined ? undefined : await readMembers(options.arg);
      const given =
        args === undefined ? fromArguments : await readJson(args, 'the value for arguments', cli.terminal.streams);
      const jobArguments =
        members === undefined ? given : { ...requireObject(given ?? {}, 'the arguments'), ...members };
      const fields = {
        queue: options.queue,
        priority: options.priority,
        delayMs: options.delay,
        runAt: options.runAt,
        expiresAt: options.expires,
        timeoutMs: options.timeout,
        maxAttempts: options.maxAttempts,
        retry:
          options.retry === undefined
            ? undefined
            : await readJsonObject(options.retry, 'the value of --retry', cli.terminal.streams),
        uniqueKey: options.uniqueKey,
        uniqueForMs: options.uniqueFor,
        onConflict: options.onConflict,
        concurrencyKey: options.concurrencyKey,
        orderKey: options.orderKey,
        orderOnFailure: options.orderOnFailure,
        requires: options.require,
        prefers: options.prefer,
        tags: options.tag,
        metadata:
          options.metadata === undefined
            ? undefined
            : await readJsonObject(options.metadata, 'the value of --metadata', cli.terminal.streams),
        userId: options.user,
        callbackUrl: options.callbackUrl,
        idempotencyKey: options.idempotencyKey,
      };
      const present = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
      const client = await cli.client();
      // The coordinator reports unknown or forbidden fields.
      const job = await client.create(wantedType, jobArguments, { ...base, ...present } as CreateOptions);
      if (options.wait === true || options.waitTimeout !== undefined)
        await waitFor(cli, client, job, options.waitTimeout);
      else cli.show(job, () => showCreated(cli, job));
    });
  addExamples(create, [
    [`baton jobs create SEND_MAIL '{"to":"ada@example.com"}'`, 'One job'],
    [
      'baton jobs create RESIZE -a url=https://example.com/a.png -a width:=640 --wait',
      'Arguments one by one, and its result',
    ],
    ['baton jobs create REPORT @report.json --queue slow --delay 10m --max-attempts 3', 'From a file, in ten minutes'],
  ]);
}

/** Waits until the job has finished, and prints it. Ends the command when it did not complete. */
export async function waitFor(cli: Cli, client: Client, job: Job, timeoutMs: number | undefined): Promise<void> {
  const signal = cli.listenForSignals();
  const line = progressLine(cli);
  cli.note(`Waiting for ${job.id} …`);
  try {
    await client.wait(job.id, {
      signal,
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(line.isShown && { onProgress: ({ percent, message }) => line.draw(percent, message) }),
    });
  } catch (error) {
    line.clear();
    if (!isNamed(error, 'JobFailedError') && !isNamed(error, 'JobCancelledError')) throw error;
    await showEnd(cli, client, job.id);
    throw new Ending('unsuccessful');
  }
  line.clear();
  await showEnd(cli, client, job.id);
}

async function showEnd(cli: Cli, client: Client, id: string): Promise<void> {
  const job = await client.get(id);
  cli.show(job, () => showJob(cli, job));
}

function showCreated(cli: Cli, job: Job): void {
  const { style } = cli.terminal;
  const waitMs = Date.parse(job.runAt) - Date.now();
  const when = job.status === 'pending' && waitMs > 1000 ? `, starts in ${durationText(waitMs)}` : '';
  cli.terminal.line(`${job.id}  ${style('bold', job.type)} in ${job.queue}, ${job.status}${when}`);
  const { notes } = job as { notes?: { message: string }[] };
  for (const note of notes ?? []) cli.note(`note: ${note.message}`);
}
