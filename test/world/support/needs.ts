import type { DebianProgram } from '../../../scripts/debian';

/** Stands for a program that is missing while tests that are skipped are declared. */
const NONE: DebianProgram = { path: '', root: '', env: {} };

/**
 * Declares tests that need programs; where one is missing they are skipped, and the title says why.
 * @param programs what was found, by the name that the title gives it; null: it is missing
 * @param declare uses the programs only within tests and hooks
 */
export function describeWith<Name extends string>(
  title: string,
  programs: Record<Name, DebianProgram | null>,
  declare: (programs: Record<Name, DebianProgram>) => void,
): void {
  const names = Object.keys(programs) as Name[];
  const missing = names.filter((name) => programs[name] === null);
  const found = Object.fromEntries(names.map((name) => [name, programs[name] ?? NONE])) as Record<Name, DebianProgram>;
  if (missing.length === 0) describe(title, () => declare(found));
  else describe.skip(`${title} (skipped: this machine has no ${missing.join(', no ')})`, () => declare(found));
}
