import type { JobContext } from '@baton/runner-sdk';
import { intoFile, intoMemory } from './into-file';
import { intoTable } from './into-table';
import type { FileTarget, Moved, MoveArguments, ProcessArguments, TableSink } from './jobs';
import type { From } from './sources';
import { connect, told } from './tables/database';
import { insertInto } from './tables/statements';
import type { Row, Tools } from './tools';

/** Moves rows from a source into a table or a file. */
export function move(
  args: MoveArguments & { from: From; to: TableSink | FileTarget },
  tools: Tools,
  job: JobContext,
): Promise<Moved> {
  const { to } = args;
  return tools.work.with((folder) =>
    'table' in to
      ? importInto({ ...args, to }, { tools, folder, job })
      : intoFile({ ...args, to }, { tools, folder, job }),
  );
}

export async function processRows(
  { batchId, data, from, to, ...moving }: ProcessArguments,
  tools: Tools,
  job: JobContext,
): Promise<Moved & { batchId: string; data?: Row[] }> {
  const args = { ...moving, from: from ?? { data: data ?? [] } };
  if (to !== undefined) return { batchId, ...(await move({ ...args, to }, tools, job)) };
  return { batchId, ...(await tools.work.with((folder) => intoMemory(args, { tools, folder, job }))) };
}

async function importInto(
  args: MoveArguments & { from: From; to: TableSink },
  at: { tools: Tools; folder: string; job: JobContext },
): Promise<Moved> {
  const client = await connect(at.tools.databases, args.to, 'write');
  try {
    const { insert, check } = await insertInto(client, args.to);
    return await intoTable(args, { client, statement: insert, check, countsSkipped: true }, at);
  } catch (error) {
    throw told(error);
  } finally {
    await client.end();
  }
}
