import { z } from 'zod';
import { setting } from '@baton/runner-kit';

export const execSettings = {
  EXEC_TYPES: z
    .string({ error: 'must be set to the file that says which program each job type runs' })
    .pipe(setting.file()),
  EXEC_CGROUP: setting.folder().optional(),
};

/** What the programs may be given of this process's environment. */
export function environment(env: Record<string, string | undefined> = process.env): Record<string, string | undefined> {
  return env;
}
