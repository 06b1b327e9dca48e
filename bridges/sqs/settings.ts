import { kitSettings, readSettings, setting, type SettingsOf } from '@baton/runner-kit';
import { z } from 'zod';

const DAY_MS = 86_400_000;
const queueUrl = () => setting.url('https://sqs.eu-central-1.amazonaws.com/123456789012/orders');

export const sqsSettings = {
  SQS_QUEUE_URL: queueUrl().optional(),
  SQS_DLQ_URL: queueUrl().optional(),
  SQS_MAPPING: setting.file().optional(),
  SQS_EVENTS_URL: queueUrl().optional(),
  SQS_EVENTS_RESULTS: setting.flag().default(false),
  SQS_WEBHOOK_PORT: setting.wholeNumber(0, 65_535).optional(),
  SQS_WEBHOOK_HOST: z.string().default('127.0.0.1'),
  SQS_WEBHOOK_SECRET: setting.secret().optional(),
  SQS_MAX_MESSAGE_BYTES: setting.wholeNumber(1024, 1_048_576).default(262_144),
  JOB_PROCESSOR_INTERVAL: setting.wholeNumber(0, DAY_MS).default(5000),
  MAX_CONCURRENT_JOBS: setting.wholeNumber(1, 1000).default(5),
  INITIAL_RETRY_DELAY: setting.wholeNumber(1, DAY_MS).default(5000),
  MAX_RETRY_DELAY: setting.wholeNumber(1, DAY_MS).default(300_000),
  VISIBILITY_TIMEOUT: setting.wholeNumber(2000, 43_200_000).default(300_000),
  JOB_TIMEOUT: setting.wholeNumber(1, 604_800_000).default(900_000),
  RUNNER_HEALTH_PORT: kitSettings.RUNNER_HEALTH_PORT,
  RUNNER_HEALTH_HOST: kitSettings.RUNNER_HEALTH_HOST,
};

export type SqsSettings = SettingsOf<typeof sqsSettings>;

/** @throws {SettingsError} for the first setting that cannot be used */
export function readSqsSettings(): SqsSettings {
  return readSettings(sqsSettings, { prefix: 'SQS_' });
}
