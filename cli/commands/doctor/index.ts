import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Client } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import type { ChosenConnection } from '../../connection';
import { addExamples } from '../../examples';
import { Ending, isBatonError } from '../../exit-codes';
import { parseDuration } from '../../input/durations';
import type { Look } from '../../terminal/style';
import { clean } from '../../terminal/text';
import { CLI_VERSION } from '../../version';
import { allRunners } from '../runners';
import { checkDatabase } from './database';
import { type Finding, type Level, ok, problem, skipped } from './finding';
import { checkLocal } from './local';
import { checkLongPoll } from './long-poll';
import { checkClock, checkNetwork } from './network';
import { checkCoordinators, checkMonitor, checkQueues, checkRunners } from './service';

const POLL_MS = 45_000;
const LOOKS: Record<Level, readonly [mark: string, look: Look]> = {
  ok: ['✓', 'green'],
  warning: ['!', 'yellow'],
  problem: ['✗', 'red'],
  skipped: ['-', 'dim'],
};

/** `baton doctor` */
export function addDoctorCommand(program: CommandUnknownOpts, cli: Cli): void {
  const doctor = program
    .command('doctor')
    .description(
      'look for what is wrong: configuration, network, database, runners, queues; exit code 8 if something is',
    )
    .option('--fix', 'put right what harms nobody, such as files with keys that others can read')
    .option(
      '--wait <duration>',
      'how long to try a call that waits, as runners do; 0s: not at all',
      parseDuration,
      POLL_MS,
    )
    .addHelpText(
      'after',
      '\nWhat only the database knows needs a key of role admin. A call that waits takes 45 s, which shows whether a proxy\n' +
        'in front ends calls of runners too early; all other checks are done by then.',
    )
    .action(async ({ fix, wait }) => {
      const findings = await examine(cli, Math.min(wait, POLL_MS));
      const shown = findings.map(({ fix: apply, ...finding }) => ({
        ...finding,
        ...(apply !== undefined && (fix === true ? { fixed: apply() } : { advice: withFix(finding.advice) })),
      }));
      const open = shown.filter((one) => (one.level === 'warning' || one.level === 'problem') && !('fixed' in one));
      cli.show({ items: shown }, () => {
        for (const finding of shown) print(cli, finding);
        cli.terminal.line();
        cli.terminal.line(
          open.length === 0 ? 'Nothing is wrong.' : `${open.length} of ${shown.length} checks found something.`,
        );
      });
      if (open.length > 0) throw new Ending('incomplete');
    });
  addExamples(doctor, [
    ['baton doctor', 'Everything'],
    ['baton doctor --wait 0s --json', 'Quickly, for a program'],
    ['baton doctor --fix', 'And put right what is safe to'],
  ]);
}

async function examine(cli: Cli, waitMs: number): Promise<Finding[]> {
  const signal = cli.listenForSignals();
  const { findings, connection } = checkLocal(cli);
  if (connection === undefined) return findings;
  const [first = connection.url] = connection.url.split(',').map((url) => url.trim());
  const network = await checkNetwork(first);
  findings.push(...network.findings);
  if (!network.isReachable) return findings;
  const poll =
    waitMs === 0
      ? Promise.resolve(skipped('long poll', 'not tried'))
      : checkLongPoll({ url: first, key: connection.key }, waitMs, signal);
  if (waitMs > 0) cli.note(`A call is tried that waits for ${Math.round(waitMs / 1000)} s …`);
  const [called, polled] = await Promise.all([examineByApi(cli, connection), poll]);
  return [...findings, ...called, polled];
}

/** All that needs a key. */
async function examineByApi(cli: Cli, connection: ChosenConnection): Promise<Finding[]> {
  const client = await cli.clientOf(connection);
  try {
    const { name, role } = await client.whoAmI();
    return [
      ok('key', `"${name}", role ${role}`),
      ...(await examineService(client)),
      ...(await examineDatabase(client)),
    ];
  } catch (error) {
    if (!isBatonError(error)) throw error;
    const isDenied = error.status === 401;
    return [
      problem(
        isDenied ? 'key' : 'service',
        isDenied
          ? `the key from ${connection.source} is not accepted`
          : `a call failed: ${error.detail} (${error.code})`,
        isDenied ? 'Every call is refused.' : 'Other calls may fail too.',
        isDenied ? 'Run: baton login' : 'Look into the log of the coordinator.',
      ),
    ];
  }
}

async function examineService(client: Client): Promise<Finding[]> {
  return unlessForbidden('service', async () => {
    const [health, queues, runners] = await Promise.all([client.health(), client.queues(), allRunners(client)]);
    const versions = health.version === CLI_VERSION ? '' : `; this command is ${CLI_VERSION}`;
    return [
      ok('coordinator', `version ${health.version}${versions}, ${health.database.latencyMs} ms to its database`),
      checkMonitor(health),
      ...checkRunners(runners, health.version),
      ...(await checkQueues(client, queues, runners)),
    ];
  });
}

async function examineDatabase(client: Client): Promise<Finding[]> {
  return unlessForbidden('database', async () => {
    const before = Date.now();
    const report = await client.system();
    const here = (before + Date.now()) / 2;
    const { at, coordinatorAt } = report.database;
    return [
      checkClock(
        'the clock of this machine, by the coordinator,',
        here - Date.parse(coordinatorAt),
        'Times shown here are wrong, and signatures and tokens may be refused.',
      ),
      checkClock(
        'the clock of the coordinator, by the database,',
        Date.parse(coordinatorAt) - Date.parse(at),
        'Leases follow the database; signatures, tokens and logs of the coordinator are off.',
      ),
      checkCoordinators(report),
      ...checkDatabase(report),
    ];
  });
}

async function unlessForbidden(check: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    if (!isBatonError(error) || error.status !== 403) throw error;
    return [skipped(check, 'this key may not look; one of role admin may')];
  }
}

function withFix(advice = ''): string {
  return `${advice} baton doctor --fix makes it private.`.trim();
}

function print(cli: Cli, { check, level, what, why, advice, fixed }: Finding & { fixed?: string }): void {
  const { style } = cli.terminal;
  const [mark, look] = LOOKS[level];
  cli.terminal.line(`${style(look, mark)} ${style('bold', check)}: ${clean(what)}`);
  if (fixed !== undefined) return cli.terminal.line(`    fixed: ${fixed}`);
  if (why !== undefined) cli.terminal.line(style('dim', `    ${why}`));
  if (advice !== undefined && advice !== '') cli.terminal.line(`    ${clean(advice)}`);
}
