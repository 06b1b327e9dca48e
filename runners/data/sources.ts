import type { JobContext } from '@baton/runner-sdk';
import { openFile } from './formats/files';
import type { FileTarget, TableSource } from './jobs';
import { openTable } from './tables/read-rows';
import type { Item, Row, Source, Tools } from './tools';

export type From = { data: Row[] } | FileTarget | TableSource;

export interface OpenSource extends Source {
  /** Whether rows have marks from which to continue; otherwise rows that are done are read again and skipped. */
  hasMarks: boolean;
  close: () => Promise<void>;
}

/** @param after the mark of the last row that is done, if rows have marks */
export async function openSource(
  from: From,
  { tools, folder, job, after }: { tools: Tools; folder: string; job: JobContext; after?: unknown },
): Promise<OpenSource> {
  if ('table' in from) return openTable(tools.databases, from, after);
  const nothing = (): Promise<void> => Promise.resolve();
  if ('url' in from) return { ...(await openFile(from, folder, tools, job)), hasMarks: false, close: nothing };
  return { ...inline(from.data), hasMarks: false, close: nothing };
}

function inline(data: Row[]): Source {
  let read = 0;
  const items = async function* (): AsyncIterable<Item> {
    for (const row of data) {
      read += 1;
      yield { row };
    }
  };
  return { version: 'data', columns: null, items: items(), percent: () => (100 * read) / Math.max(1, data.length) };
}
