import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Cli } from '../../cli';
import { addExamples } from '../../examples';
import { parseDuration } from '../../input/durations';
import { TopScreen } from './top-screen';

const INTERVAL_MS = 2000;

/** `baton top` */
export function addTopCommand(program: CommandUnknownOpts, cli: Cli): void {
  const top = program
    .command('top')
    .description('watch queues and runners live in the terminal; pause, drain, and open jobs with keys')
    .option('--interval <duration>', 'how often it is read anew', parseDuration, INTERVAL_MS)
    .addHelpText(
      'after',
      '\nKeys: arrows choose, Enter opens, Esc goes back, Tab changes between queues and runners; p pauses or resumes a\n' +
        'queue, d drains or resumes a runner, c cancels and r retries a job, q quits.',
    )
    .action(async ({ interval }) => {
      const signal = cli.listenForSignals();
      const { url } = cli.connection();
      await new TopScreen(cli, await cli.client(Math.max(interval, INTERVAL_MS)), url, interval).run(signal);
      signal.throwIfAborted();
    });
  addExamples(top, [
    ['baton top', 'What goes on now'],
    ['baton top --interval 10s --profile production', 'Of another coordinator, with fewer calls'],
  ]);
}
