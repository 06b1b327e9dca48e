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
    const things = kit.figures.counter('cleanup_removed_total', 'Files, archives, rows and keys', ['kind']);
    const bytes = kit.figures.counter('cleanup_removed_bytes_total', 'Bytes of files and of logs', ['kind']);
    kit.handle(cleanup, (args, job) =>
      clean(
        args,
        {
          ...{ storage: kit.storage, config },
          onTask: (done) => {
            things.inc({ kind: done.kind }, done.count);
            bytes.inc({ kind: done.kind }, done.bytes);
          },
        },
        job,
      ),
    );
  },
});
