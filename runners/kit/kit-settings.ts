import { z } from 'zod';
import { setting, type SettingsOf } from './settings';
import { storageSettings } from './storage/settings';

/** Settings of every runner of the kit, beside those of the SDK. */
export const kitSettings = {
  RUNNER_CONCURRENCY: z.string().optional(),
  RUNNER_WORK_DIR: setting.newFolder().default('.baton/work'),
  RUNNER_HEALTH_PORT: setting.wholeNumber(0, 65_535).optional(),
  RUNNER_HEALTH_HOST: z.string().default('127.0.0.1'),
  ...storageSettings,
};

export type KitSettings = SettingsOf<typeof kitSettings>;
