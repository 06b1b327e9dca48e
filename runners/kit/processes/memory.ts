import { readdir, readFile } from 'node:fs/promises';

const PAGE_BYTES = 4096;

/**
 * The memory that processes hold, in bytes, as the sum of their resident sets: pages that they share are counted for each. 0
 * where there is no `/proc`.
 * @param belongs by number, process group and session
 */
export async function memoryOf(belongs: (pid: number, group: number, session: number) => boolean): Promise<number> {
  const names = await readdir('/proc').catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const sizes = await Promise.all(pids.map((pid) => residentBytes(pid, belongs)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** 0 for a process of others, or one that is gone. */
async function residentBytes(
  pid: number,
  belongs: (pid: number, group: number, session: number) => boolean,
): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  // The name of the program, in brackets, may hold anything; after it come state, parent, group and session.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [, , group = 0, session = 0] = fields.map(Number);
  return belongs(pid, group, session) ? Number(fields[RESIDENT_PAGES]) * PAGE_BYTES || 0 : 0;
}

/** Field 24 of `proc(5)`, counted from the state, which is field 3. */
const RESIDENT_PAGES = 21;
