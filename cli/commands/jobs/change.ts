import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { EditJob } from '@baton/runner-sdk/protocol';
import type { Cli } from '../../cli';
import { Failure } from '../../exit-codes';
import { addExamples } from '../../examples';
import { parseFutureTime } from '../../input/durations';
import { collect, parsePriority } from '../../input/values';
import { showJob } from './show';

/** `jobs edit`, `run-now` and `delete`. */
export function addChangeCommands(jobs: CommandUnknownOpts, cli: Cli): void {
  const edit = jobs
    .command('edit')
    .description('change a job that does not run yet')
    .argument('<id>', 'id of the job')
    .option('-p, --priority <priority>', 'its new priority: high, normal, low, or -100 to 100', parsePriority)
    .option('--run-at <time>', 'its new earliest start: a time, or in 2h', parseFutureTime)
    .option('--tag <tag>', 'a new tag; together they replace the old ones; may be repeated', collect)
    .option('--no-tags', 'take all tags away')
    .action(async (id, { priority, runAt, tag, tags }) => {
      const wantedTags = tags ? tag : [];
      const changes: EditJob = {
        ...(priority !== undefined && { priority }),
        ...(runAt !== undefined && { runAt }),
        ...(wantedTags !== undefined && { tags: wantedTags }),
      };
      if (Object.keys(changes).length === 0)
        throw new Failure('usage', 'nothing to change', 'Give --priority, --run-at, --tag or --no-tags.');
      const job = await (await cli.client()).edit(id, changes);
      cli.show(job, () => showJob(cli, job));
    });
  addExamples(edit, [
    ['baton jobs edit 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --priority high --run-at 10m', 'Later, but before others'],
  ]);

  const runNow = jobs
    .command('run-now')
    .description('let a job that waits for its time start at once')
    .argument('<id>', 'id of the job')
    .action(async (id) => {
      const job = await (await cli.client()).runNow(id);
      cli.show(job, () => showJob(cli, job));
    });
  addExamples(runNow, [
    ['baton jobs run-now 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'Do not wait for its delay or backoff'],
  ]);

  const remove = jobs
    .command('delete')
    .alias('rm')
    .description('delete a finished job for good; needs a key of role admin')
    .argument('<id>', 'id of the job')
    .action(async (id) => {
      await cli.confirm(`Delete job ${id} and its history for good?`);
      await (await cli.client()).delete(id);
      cli.show({ id, deleted: true }, () => cli.terminal.line(`${id} is deleted.`));
    });
  addExamples(remove, [['baton jobs delete 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --yes', 'Without being asked']]);
}
