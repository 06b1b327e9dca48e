import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Cli } from '../cli';
import { Failure } from '../exit-codes';
import { addExamples } from '../examples';
import { DEFAULT_PROFILE, Profiles } from '../profiles';
import { askSecret, readAll } from '../terminal/prompt';

const LOCAL_URL = 'http://127.0.0.1:3001';

/** `login`, `logout`, `whoami` and `profiles`. */
export function addLoginCommands(program: CommandUnknownOpts, cli: Cli): void {
  const login = program
    .command('login')
    .description('keep a coordinator and a key for it in a profile, after trying them')
    .argument('[url]', `the coordinator; default: COORDINATOR_URL, else ${LOCAL_URL}`)
    .addHelpText(
      'after',
      '\nThe key is asked for without being shown, or read from standard input: keys do not belong into arguments,\n' +
        'which other users of the machine can see. It is kept in a file that only you can read.',
    )
    .action(async (url) => logIn(cli, url));
  addExamples(login, [
    ['baton login https://jobs.example.com', 'Ask for the key, and keep both as the profile "default"'],
    ['baton login --profile local < .baton/admin-key', 'Keep the key of `npm start` as the profile "local"'],
  ]);

  const logout = program
    .command('logout')
    .description('forget a profile and its key')
    .action(() => {
      const name = nameOf(cli);
      if (!new Profiles(cli.environment.configDir).remove(name))
        throw new Failure('not_found', `there is no profile "${name}"`, 'baton profiles lists those that there are.');
      cli.show({ profile: name, removed: true }, () => cli.terminal.line(`Profile "${name}" is forgotten.`));
    });
  addExamples(logout, [['baton logout --profile local', 'Forget the profile "local"']]);

  const whoami = program
    .command('whoami')
    .description('show which coordinator is called, whose key that is, and what it may do')
    .action(async () => {
      const connection = cli.connection();
      const session = await (await cli.client()).whoAmI();
      cli.show({ url: connection.url, source: connection.source, ...session }, () => {
        cli.terminal.line(`${connection.url}, from ${connection.source}`);
        cli.terminal.line(`key "${session.name}" (${session.keyId}), role ${session.role}${ofUser(session.userId)}`);
      });
    });
  addExamples(whoami, [['baton whoami', 'Whose key is used, and where it was found']]);

  const profiles = program
    .command('profiles')
    .description('list the profiles; keys are not shown')
    .action(() => {
      const rows = [...new Profiles(cli.environment.configDir).read()].map(([name, { url }]) => ({ name, url }));
      const columns = [
        { title: 'NAME', of: (row: { name: string }) => row.name },
        { title: 'URL', of: (row: { url: string }) => row.url },
      ];
      cli.list({ items: rows }, rows, columns, 'There are no profiles yet; baton login makes one.');
    });
  addExamples(profiles, [['baton profiles', 'Which coordinators can be called by name']]);
}

async function logIn(cli: Cli, given: string | undefined): Promise<void> {
  const url = given ?? cli.options.url ?? cli.environment.coordinatorUrl ?? LOCAL_URL;
  const key = (await readKey(cli, url)).trim();
  const session = await (await cli.clientOf({ url, key })).whoAmI();
  const name = nameOf(cli);
  const profiles = new Profiles(cli.environment.configDir);
  profiles.save(name, { url, key });
  cli.show({ profile: name, url, file: profiles.file, ...session }, () => {
    cli.terminal.line(`Signed in at ${url} as "${session.name}", role ${session.role}${ofUser(session.userId)}.`);
    cli.terminal.line(`Kept as profile "${name}" in ${profiles.file}.`);
  });
}

function readKey(cli: Cli, url: string): Promise<string> {
  const { streams } = cli.terminal;
  return streams.stdin.isTTY === true ? askSecret(streams, `API key for ${url}: `) : readAll(streams);
}

function nameOf(cli: Cli): string {
  return cli.options.profile ?? cli.environment.profile ?? DEFAULT_PROFILE;
}

function ofUser(userId: string | null): string {
  return userId === null ? '' : ` of user ${userId}`;
}
