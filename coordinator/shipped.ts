import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Finds a folder that comes with Baton by a file in it. Searches upwards, because the files that ask run compiled or as
 * sources, in the project, where the folder is beside the coordinator, or in the installed package, where it is inside.
 * @param name of the folder, such as `prisma/migrations`
 * @returns its absolute path; null: Baton is not installed completely
 */
export function findShipped(name: string, file: string): string | null {
  for (let folder = __dirname; ; folder = dirname(folder)) {
    const found = join(folder, name);
    if (existsSync(join(found, file))) return found;
    if (folder === dirname(folder)) return null;
  }
}
