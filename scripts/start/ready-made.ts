import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suggest } from '@baton/coordinator/dist/config/config';
import { StartError } from './port';

/**
 * The runners that were asked for, without that of quotes, which always runs.
 * @param names of folders in `runners/`, or `all`
 * @throws {StartError} for one that is not there
 */
export function runnersOf(root: string, names: readonly string[]): string[] {
  // What only is shared has no jobs.
  const runners = readdirSync(join(root, 'runners')).filter((name) =>
    existsSync(join(root, 'runners', name, 'jobs.ts')),
  );
  for (const name of names)
    if (name !== 'all' && !runners.includes(name))
      throw new StartError(
        `There is no runner ${name}. Did you mean ${suggest(name, runners)}? There are ${runners.join(', ')}, and all.`,
      );
  return runners.filter((name) => name !== 'quotes' && (names.includes('all') || names.includes(name)));
}
