import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Cli } from '../../cli';
import { addBulkCommands } from './bulk';
import { addChangeCommands } from './change';
import { addCreateCommand } from './create';
import { addExportCommand } from './export';
import { addFollowCommands } from './follow';
import { addImportCommand } from './import';
import { addReadCommands } from './read';

/** `baton jobs …` */
export function addJobCommands(program: CommandUnknownOpts, cli: Cli): void {
  const jobs = program.command('jobs').alias('job').description('create, read, follow and change jobs');
  addCreateCommand(jobs, cli);
  addReadCommands(jobs, cli);
  addFollowCommands(jobs, cli);
  addChangeCommands(jobs, cli);
  addBulkCommands(jobs, cli);
  addImportCommand(jobs, cli);
  addExportCommand(jobs, cli);
}
