import { Command } from '@commander-js/extra-typings';
import type { Cli } from './cli';
import { addAlertCommands } from './commands/alerts';
import { addAuditCommand } from './commands/audit';
import { addBatchCommands } from './commands/batches';
import { addCompletionCommands } from './commands/completion';
import { addDeadLetterCommands } from './commands/dead-letters';
import { addDevCommands } from './commands/dev';
import { addDoctorCommand } from './commands/doctor';
import { addEventsCommand } from './commands/events';
import { addJobCommands } from './commands/jobs';
import { addTypeCommands } from './commands/job-types';
import { addKeyCommands } from './commands/keys';
import { addLoginCommands } from './commands/login';
import { addQueueCommands } from './commands/queues';
import { addRunnerCommands } from './commands/runners';
import { addScheduleCommands } from './commands/schedules';
import { addStatsCommand } from './commands/stats';
import { addTopCommand } from './commands/top';
import { addWebhookCommands } from './commands/webhooks';
import { addWorkflowCommands } from './commands/workflows';
import { addExamples } from './examples';
import { jsonText } from './terminal/text';
import { exitCode } from './exit-codes';
import { renderReference } from './reference';
import { CLI_VERSION } from './version';

/**
 * The whole command line. Its commands throw their errors, and set no exit codes themselves.
 * @param wantsJson whether usage errors are also reported in JSON
 */
export function createProgram(cli: Cli, wantsJson = false) {
  const program = new Command('baton');
  program
    .description('Runs, watches and operates Baton, the job queue whose runners work on any host over plain HTTP.')
    .version(CLI_VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => void cli.terminal.streams.stdout.write(text),
      writeErr: (text) => void cli.terminal.streams.stderr.write(text),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      getOutHelpWidth: () => cli.terminal.width ?? 100,
      getErrHelpWidth: () => cli.terminal.width ?? 100,
      outputError: (text, write) => write(errorText(text)),
    })
    .showHelpAfterError('Add --help to see how it is used.');
  const globals = program
    .option('--json', 'print JSON for programs, exactly as the API answers; streams print one value a line')
    .option('--url <url>', 'the coordinator; default: COORDINATOR_URL, else the profile')
    .option('--profile <name>', 'a profile of `baton login`; default: BATON_PROFILE, else "default"')
    .option('--exact', 'print times as ISO-8601 in UTC instead of relative to now')
    .option('--no-color', 'print no colours; so does the variable NO_COLOR, and an output that is no terminal')
    .option('-q, --quiet', 'print results only, no remarks')
    .option('-y, --yes', 'do not ask before what cannot be undone');
  globals.hook('preAction', (root) => cli.take(root.opts()));

  addLoginCommands(program, cli);
  addDevCommands(program, cli);
  addJobCommands(program, cli);
  addQueueCommands(program, cli);
  addRunnerCommands(program, cli);
  addTypeCommands(program, cli);
  addScheduleCommands(program, cli);
  addWorkflowCommands(program, cli);
  addBatchCommands(program, cli);
  addDeadLetterCommands(program, cli);
  addKeyCommands(program, cli);
  addWebhookCommands(program, cli);
  addAlertCommands(program, cli);
  addEventsCommand(program, cli);
  addStatsCommand(program, cli);
  addAuditCommand(program, cli);
  addTopCommand(program, cli);
  addDoctorCommand(program, cli);
  addCompletionCommands(program, cli);
  program
    .command('reference', { hidden: true })
    .description('print the reference of all commands as Markdown')
    .action(() => cli.terminal.line(renderReference(program)));
  addExamples(program, [
    ['baton login https://jobs.example.com', 'Keep a coordinator and a key in a profile'],
    [`baton jobs create SEND_MAIL '{"to":"ada@example.com"}' --wait`, 'Create a job and wait for its result'],
    ['baton jobs list --status failed --json', 'Failed jobs, for a program'],
  ]);
  return program;

  /** With `--json` usage errors are JSON too. */
  function errorText(text: string): string {
    if (!wantsJson) return text;
    return `${jsonText({ error: { code: null, detail: text.replace(/^error: /, '').trim(), exitCode: exitCode('usage') } })}\n`;
  }
}
