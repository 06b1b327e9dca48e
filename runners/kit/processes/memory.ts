import { readdir, readFile } from 'node:fs/promises';

const PAGE_BYTES = 4096;

/**
 * Memory of processes in bytes, as the sum of their resident sets; shared pages are counted once per process. 0 if
 * there is no `/proc`.
 * @param belongs decides by process id, process group and session
 */
export async function memoryOf(belongs: (pid: number, group: number, session: number) => boolean): Promise<number> {
  const names = await readdir('/proc').catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const sizes = await Promise.all(pids.map((pid) => residentBytes(pid, belongs)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** 0 for other processes, or one that has ended. */
async function residentBytes(
  pid: number,
  belongs: (pid: number, group: number, session: number) => boolean,
): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  // The program's name, in brackets, may contain anything; state, parent, group and session follow.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [, , group = 0, session = 0] = fields.map(Number);
  return belongs(pid, group, session) ? Number(fields[RESIDENT_PAGES]) * PAGE_BYTES || 0 : 0;
}

/** Field 24 of `proc(5)`, counted from the state, which is field 3. */
const RESIDENT_PAGES = 21;
