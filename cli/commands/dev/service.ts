import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Cli } from '../../cli';
import { coordinatorVariables } from '../../config';
import { addExamples } from '../../examples';
import { Ending } from '../../exit-codes';
import { Child } from '../../local/child';
import { coordinatorProgram } from '../../local/coordinator-package';

/** `baton coordinator` and `baton migrate`. */
export function addServiceCommands(program: CommandUnknownOpts, cli: Cli): void {
  const coordinator = program
    .command('coordinator')
    .description('run a coordinator until it is told to stop; its settings come from the environment')
    .addHelpText(
      'after',
      '\nWithout DATABASE_URL it starts a PostgreSQL of its own, with its data in BATON_DATA_DIR (.baton). It logs JSON\n' +
        'lines, migrates its database, and drains on SIGTERM and Ctrl-C. It needs the package @baton/coordinator.',
    )
    .action(() => runToItsEnd(cli, 'main'));
  addExamples(coordinator, [
    ['baton coordinator', 'On an embedded database'],
    ['DATABASE_URL=postgresql://baton@db/baton PORT=3001 baton coordinator', 'On one of your own'],
  ]);

  const migrate = program
    .command('migrate')
    .description('migrate the database of DATABASE_URL, or the embedded one, to this version; safe to repeat')
    .action(() => runToItsEnd(cli, 'migrate'));
  addExamples(migrate, [
    ['DATABASE_URL=postgresql://baton@db/baton baton migrate', 'Before coordinators are upgraded'],
  ]);
}

/** In a process of its own, with this one's output; signals are passed on. */
async function runToItsEnd(cli: Cli, program: 'main' | 'migrate'): Promise<void> {
  const signal = cli.serve();
  const child = new Child({ args: [coordinatorProgram(program)], env: coordinatorVariables(cli.environment) });
  signal.addEventListener('abort', () => child.signal('SIGTERM'));
  const code = await child.ended;
  if (code !== 0) throw new Ending('internal');
}
