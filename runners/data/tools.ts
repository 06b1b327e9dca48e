import type { Storage, WorkFolders } from '@baton/runner-kit';
import type { Databases } from './settings';

/** What the handlers work with. */
export interface Tools {
  storage: Storage;
  work: WorkFolders;
  databases: Databases;
  /** Most bytes of a workbook on disk while it is read. */
  mostSpillBytes: number;
  count: (type: string, outcome: string, count: number) => void;
}

export type Row = Record<string, unknown>;

/** Undefined where the row has no such column, whatever members all objects have. */
export function cellOf(row: Row, column: string): unknown {
  return Object.hasOwn(row, column) ? row[column] : undefined;
}

/** A row as it was read, or what could not be read as one. */
export type Item = ({ row: Row } | Rejected) & {
  /** For a table: where to continue after this row. */
  mark?: unknown;
};

export interface Rejected {
  reason: string;
  /** The content of the row, as far as it is known. */
  values: unknown;
}

export interface Source {
  /** Changes when the rows do; a killed import continues only with the same version. */
  version: string;
  /** If they are known beforehand. */
  columns: string[] | null;
  items: AsyncIterable<Item>;
  /** 0 to 100; null: unknown. */
  percent: () => number | null;
}

export const isRejected = (item: Item): item is Item & Rejected => 'reason' in item;
