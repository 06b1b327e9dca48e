import type { Storage, WorkFolders } from '@baton/runner-kit';
import type { Databases } from './settings';

/** What the handlers work with. */
export interface Tools {
  storage: Storage;
  work: WorkFolders;
  databases: Databases;
  /** How much of a workbook may be on the disk while it is read. */
  mostSpillBytes: number;
  count: (type: string, outcome: string, count: number) => void;
}

export type Row = Record<string, unknown>;

/** A row as it was read, or what could not be read as one. */
export type Item = ({ row: Row } | Rejected) & {
  /** Of a table: where to go on after this row. */
  mark?: unknown;
};

export interface Rejected {
  reason: string;
  /** What stood there, as far as it can be told. */
  values: unknown;
}

export interface Source {
  /** Changes when the rows do; a killed import goes on only with the same. */
  version: string;
  /** Where they are known beforehand. */
  columns: string[] | null;
  items: AsyncIterable<Item>;
  /** 0 to 100; null: nobody knows. */
  percent: () => number | null;
}

export const isRejected = (item: Item): item is Item & Rejected => 'reason' in item;
