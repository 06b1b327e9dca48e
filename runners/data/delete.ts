import type { JobContext } from '@baton/runner-sdk';
import { intoTable } from './into-table';
import type { ColumnRule, DeleteArguments, DeleteResult } from './jobs';
import { connect, told } from './tables/database';
import { deleteFrom } from './tables/statements';
import type { Tools } from './tools';

/** Rows without a key are rejected; their other columns are ignored. */
const KEY: ColumnRule = { required: true, trim: false, lowerCase: false };

/** Deletes rows by key; the position advances with each batch, so that a killed job counts none twice. */
export async function deleteRows(
  { from, data, keys, dryRun, ...rest }: DeleteArguments,
  tools: Tools,
  job: JobContext,
): Promise<DeleteResult> {
  const client = await connect(tools.databases, from, 'write');
  try {
    const moved = await tools.work.with((folder) =>
      intoTable(
        {
          ...rest,
          from: keys ?? { data: data ?? [] },
          columns: Object.fromEntries(from.key.map((name) => [name, KEY])),
        },
        {
          client,
          statement: deleteFrom(client, from.table, from.key, dryRun),
          check: () => null,
          countsSkipped: false,
        },
        { tools, folder, job },
      ),
    );
    const { rows, written: deleted, rejected, rejects } = moved;
    return { dryRun, rows, deleted, rejected, rejects };
  } catch (error) {
    throw told(error);
  } finally {
    await client.end();
  }
}
