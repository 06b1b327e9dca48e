import { type Source, lineOf } from './sources';
import type ts from 'typescript';

/** One place where a rule is broken. */
export interface Breach {
  path: string;
  line: number;
  message: string;
}

export type Rule = (sources: Source[]) => Breach[];

export function at(source: Source, where: ts.Node | number, message: string): Breach {
  return { path: source.path, line: typeof where === 'number' ? where : lineOf(source, where), message };
}
