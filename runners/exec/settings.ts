import { z } from 'zod';
import { setting } from '@baton/runner-kit';

export const execSettings = {
  EXEC_TYPES: z
    .string({ error: 'must be set to the file that says which program each job type runs' })
    .pipe(setting.file()),
  EXEC_CGROUP: setting.folder().optional(),
};

/** The part of this process's environment that programs may be given. */
export function environment(env: Record<string, string | undefined> = process.env): Record<string, string | undefined> {
  return env;
}
