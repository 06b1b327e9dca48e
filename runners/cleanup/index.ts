#!/usr/bin/env node
import { startRunner } from '@baton/runner-kit';
import { clean } from './clean';
import { cleanup } from './jobs';
import { cleanupSettings, isNamedSetting, readConfig } from './settings';

startRunner({
  name: 'cleanup',
  settings: cleanupSettings,
  prefix: 'CLEANUP_',
  isOtherSetting: isNamedSetting,
  concurrency: 2,
  prepare: (kit, settings) => {
    const config = readConfig(settings.CLEANUP_CONFIG);
    kit.handle(cleanup, (args, job) => clean(args, { storage: kit.storage, config }, job));
  },
});
