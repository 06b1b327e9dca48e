import { setting, type SettingsOf } from '@baton/runner-kit';
import { z } from 'zod';

export const lambdaSettings = {
  LAMBDA_FUNCTIONS: setting.file(),
  LAMBDA_THROTTLE_DELAY_MS: setting.wholeNumber(1, 3_600_000).default(5000),
  LAMBDA_CALLBACK_PORT: setting.wholeNumber(0, 65_535).optional(),
  LAMBDA_CALLBACK_HOST: z.string().default('127.0.0.1'),
  LAMBDA_CALLBACK_URL: setting.url('https://bridge.example.com').optional(),
};

export type LambdaSettings = SettingsOf<typeof lambdaSettings>;
