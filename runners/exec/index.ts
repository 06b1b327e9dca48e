#!/usr/bin/env node
import { Cgroups, SettingsError, startRunner } from '@baton/runner-kit';
import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';
import { Executor } from './execute';
import { readTypes } from './program-types';
import { environment, execSettings } from './settings';

startRunner({
  name: 'exec',
  settings: execSettings,
  prefix: 'EXEC_',
  concurrency: 2,
  prepare: async (kit, settings) => {
    const env = environment();
    const cgroups = settings.EXEC_CGROUP === undefined ? undefined : await openCgroups(settings.EXEC_CGROUP);
    if (cgroups?.limitsMemory === false)
      kit.log('warn', 'the memory controller is not delegated to EXEC_CGROUP; memory is watched instead');
    const executor = new Executor({ storage: kit.storage, work: kit.work, env, cgroups });
    for (const type of readTypes(settings.EXEC_TYPES, env['PATH'] ?? '')) {
      kit.label(type.labels);
      const definition = defineJob({ type: type.type, arguments: z.json().optional(), result: z.unknown() });
      kit.handle(definition, (args, job) => executor.execute(type, args, job));
    }
  },
});

async function openCgroups(folder: string): Promise<Cgroups> {
  try {
    return await Cgroups.open(folder);
  } catch (error) {
    throw new SettingsError(`EXEC_CGROUP ${folder} ${error instanceof Error ? error.message : String(error)}`);
  }
}
