import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Cli } from '../../cli';
import { addExamples } from '../../examples';
import { parseWhole } from '../../input/values';
import { runDev } from './dev';
import { addServiceCommands } from './service';

/** `baton dev`, `coordinator` and `migrate`. */
export function addDevCommands(program: CommandUnknownOpts, cli: Cli): void {
  const dev = program
    .command('dev')
    .description('run a database, a coordinator with its dashboard, and a runner, on this machine and one screen')
    .argument('[runner]', 'a file with a runner, started again when a source beside it changes; default: one for HELLO')
    .option('--port <port>', 'where the coordinator listens; default: PORT, else 3001', parseWhole(1, 65_535))
    .option('--no-runner', 'start no runner')
    .addHelpText(
      'after',
      '\nThe runner gets COORDINATOR_URL and RUNNER_KEY. TypeScript runs with tsx where it is installed, else as Node runs\n' +
        'it. Data are kept in BATON_DATA_DIR (.baton) for the next start; other commands in this folder find the\n' +
        'coordinator by themselves. Ctrl-C lets the runner, then the coordinator end their work. Needs @baton/coordinator.',
    )
    .action(async (file, { port, runner }) => runDev(cli, { file, port, hasRunner: runner }));
  addExamples(dev, [
    ['baton dev', 'With a runner that greets, and a first job for it'],
    ['baton dev src/runner.ts --port 4000', 'With your own runner, started again when it changes'],
  ]);
  addServiceCommands(program, cli);
}
