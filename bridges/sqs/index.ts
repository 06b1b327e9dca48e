#!/usr/bin/env node
import { HealthServer, SettingsError, WebhookReceiver } from '@baton/runner-kit';
import { Client, ConfigurationError, stderrLogger } from '@baton/runner-sdk';
import { BridgeFigures } from './figures';
import { Inward } from './inward';
import { JobMaker } from './job-maker';
import { readMapping } from './mapping';
import { Outward } from './outward';
import { connect, Queue } from './queue';
import { redrive } from './redrive';
import { readSqsSettings, type SqsSettings } from './settings';

/** A call of the coordinator is given up after this; its message is tried again, or given back at the stop. */
const CALL_BUDGET_MS = 5000;

main(process.argv.slice(2)).catch((error: unknown) => {
  const isSetting = error instanceof SettingsError || error instanceof ConfigurationError;
  process.stderr.write(`${isSetting ? error.message : String((error as Error).stack ?? error)}\n`);
  process.exit(1);
});

async function main(words: string[]): Promise<void> {
  const settings = readSqsSettings();
  if (words.length === 0) return run(settings);
  if (words.join(' ') !== 'redrive')
    throw new SettingsError(`baton-bridge-sqs has one command, redrive; ${words.join(' ')} is none`);
  await redriveAll(settings);
}

async function run(settings: SqsSettings): Promise<void> {
  if (settings.SQS_QUEUE_URL === undefined && settings.SQS_WEBHOOK_PORT === undefined)
    throw new SettingsError('SQS_QUEUE_URL must be set, or SQS_WEBHOOK_PORT for the way out');
  const queues = queuesOf(settings);
  const client = new Client({ budgetMs: CALL_BUDGET_MS });
  const figures = new BridgeFigures();
  figures.depths(queues);
  const { source, dlq = null, events = null } = queues;
  const inward =
    source === undefined
      ? null
      : new Inward({
          ...{ source, deadLetters: dlq, maker: makerOf(settings, client, source), figures, logger: stderrLogger },
          mostInHand: settings.MAX_CONCURRENT_JOBS,
          intervalMs: settings.JOB_PROCESSOR_INTERVAL,
          visibilityMs: settings.VISIBILITY_TIMEOUT,
          ...retriesOf(settings),
        });
  figures.gauge('in_hand', 'Messages that wait for their jobs', () => inward?.inHand ?? 0);
  const health = await tellHealth(settings, figures, () => inward?.inHand ?? 0);
  const receiver = await listen(
    settings,
    new Outward({
      ...{ events, deadLetters: dlq, client, figures },
      ...{ withResults: settings.SQS_EVENTS_RESULTS, mostBytes: settings.SQS_MAX_MESSAGE_BYTES },
    }),
  );
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  stderrLogger.info('the bridge has started', {
    queues: Object.fromEntries(Object.entries(queues).map(([word, queue]) => [word, queue.url])),
  });
  const running = inward?.run();
  await stopped;
  inward?.stop();
  receiver?.close();
  await running;
  health?.close();
  await client.close();
  stderrLogger.info('the bridge has stopped', { ...figures.received });
  process.exit(0);
}

async function redriveAll(settings: SqsSettings): Promise<void> {
  const { dlq, source = dlq } = queuesOf(settings);
  if (dlq === undefined || source === undefined) throw new SettingsError('redrive needs SQS_DLQ_URL');
  const client = new Client();
  const redriven = await redrive(dlq, makerOf(settings, client, source), settings.VISIBILITY_TIMEOUT, stderrLogger);
  await client.close();
  process.stdout.write(`${JSON.stringify(redriven)}\n`);
}

type Queues = Partial<Record<'source' | 'dlq' | 'events', Queue>>;

function queuesOf({ SQS_QUEUE_URL: source, SQS_DLQ_URL: dlq, SQS_EVENTS_URL: events }: SqsSettings): Queues {
  const queue = (url: string): Queue => new Queue(connect(url), url);
  return {
    ...(source !== undefined && { source: queue(source) }),
    ...(dlq !== undefined && { dlq: queue(dlq) }),
    ...(events !== undefined && { events: queue(events) }),
  };
}

function makerOf(settings: SqsSettings, client: Client, { name: queueName }: Queue): JobMaker {
  const { SQS_MAPPING: path, JOB_TIMEOUT: timeoutMs } = settings;
  const rules = path === undefined ? null : readMapping(path);
  return new JobMaker({ client, rules, timeoutMs, ...retriesOf(settings), queueName });
}

function retriesOf({ INITIAL_RETRY_DELAY, MAX_RETRY_DELAY }: SqsSettings) {
  if (INITIAL_RETRY_DELAY > MAX_RETRY_DELAY)
    throw new SettingsError('INITIAL_RETRY_DELAY must not be longer than MAX_RETRY_DELAY');
  return { initialRetryMs: INITIAL_RETRY_DELAY, maxRetryMs: MAX_RETRY_DELAY };
}

async function tellHealth(
  { RUNNER_HEALTH_PORT: port, RUNNER_HEALTH_HOST: host }: SqsSettings,
  figures: BridgeFigures,
  inHand: () => number,
): Promise<HealthServer | null> {
  if (port === undefined) return null;
  const server = new HealthServer(figures.registry, () => ({
    ...{ status: 'ok', bridge: 'sqs', inHand: inHand(), received: figures.received, sent: figures.sent },
    upMs: Math.round(process.uptime() * 1000),
  }));
  const at = await listening('RUNNER_HEALTH_PORT', () => server.listen(port, host));
  stderrLogger.info('health and metrics', { url: `http://${host}:${at}` });
  return server;
}

async function listen(settings: SqsSettings, outward: Outward): Promise<WebhookReceiver | null> {
  const { SQS_WEBHOOK_PORT: port, SQS_WEBHOOK_HOST: host, SQS_WEBHOOK_SECRET: secret } = settings;
  if (port === undefined) {
    if (settings.SQS_EVENTS_URL !== undefined)
      throw new SettingsError('SQS_EVENTS_URL needs SQS_WEBHOOK_PORT and SQS_WEBHOOK_SECRET too');
    return null;
  }
  if (secret === undefined) throw new SettingsError('SQS_WEBHOOK_PORT needs SQS_WEBHOOK_SECRET too');
  if (settings.SQS_EVENTS_URL === undefined && settings.SQS_DLQ_URL === undefined)
    throw new SettingsError('SQS_WEBHOOK_PORT needs SQS_EVENTS_URL or SQS_DLQ_URL, where what comes is sent');
  const receiver = new WebhookReceiver({ secret, receive: (event, id) => outward.receive(event, id) });
  const at = await listening('SQS_WEBHOOK_PORT', () => receiver.listen(port, host));
  stderrLogger.info('receives webhooks', { url: `http://${host}:${at}` });
  return receiver;
}

async function listening(name: string, listenOn: () => Promise<number>): Promise<number> {
  try {
    return await listenOn();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SettingsError(`${name} cannot be listened on: ${reason}`);
  }
}
