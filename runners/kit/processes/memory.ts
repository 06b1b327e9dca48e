import { readdir, readFile } from 'node:fs/promises';

const PAGE_BYTES = 4096;

/**
 * The memory that the processes of a session hold, in bytes, as the sum of their resident sets: pages that they share are
 * counted for each. 0 where there is no `/proc`.
 */
export async function sessionMemory(leader: number): Promise<number> {
  const names = await readdir('/proc').catch(() => []);
  const sizes = await Promise.all(
    names.filter((name) => /^\d+$/.test(name)).map((name) => residentBytes(Number(name), leader)),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** 0 for a process of another session, or one that is gone. */
async function residentBytes(pid: number, leader: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  // The name of the program, in brackets, may hold anything; after it come state, parent, group and session.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [, , group, session] = fields.map(Number);
  if (group !== leader && session !== leader) return 0;
  return Number(fields[RESIDENT_PAGES]) * PAGE_BYTES || 0;
}

/** Field 24 of `proc(5)`, counted from the state, which is field 3. */
const RESIDENT_PAGES = 21;
