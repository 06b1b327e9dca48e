import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { ApiKey, Client } from '@baton/runner-sdk';
import type { CreateApiKey, CreatedApiKey } from '@baton/runner-sdk/protocol';
import type { Cli } from '../cli';
import { addExamples } from '../examples';
import { choice } from '../input/choices';
import { parseDuration, parseFutureTime } from '../input/durations';
import { collectNames } from '../input/values';
import type { Column } from '../terminal/table';

const ROLES = ['admin', 'producer', 'user', 'runner', 'viewer'] as const satisfies readonly CreateApiKey['role'][];

/** `baton keys …`; all need a key of role `admin`. */
export function addKeyCommands(program: CommandUnknownOpts, cli: Cli): void {
  const keys = program.command('keys').alias('key').description('make, rotate and revoke API keys');
  addCreate(keys, cli);
  addList(keys, cli);

  const rotate = keys
    .command('rotate')
    .description('make a new key in the place of one, which goes on working for a while')
    .argument('<id>', 'id of the key')
    .option('--grace <duration>', 'how long the old key works beside the new one; default: 1d', parseDuration)
    .action(async (id, { grace }) => showKey(cli, await (await cli.client()).apiKeys.rotate(id, { graceMs: grace })));
  addExamples(rotate, [['baton keys rotate 3f1c9a72 --grace 1h', 'The old one ends in an hour']]);

  const revoke = keys
    .command('revoke')
    .description('end a key at once')
    .argument('<id>', 'id of the key')
    .action(async (id) => {
      await cli.confirm(`Revoke key ${id}? Whoever uses it is refused from now on.`);
      const key = await (await cli.client()).apiKeys.revoke(id);
      cli.show(key, () => cli.terminal.line(`Key "${key.name}" (${key.id}) is revoked.`));
    });
  addExamples(revoke, [['baton keys revoke 3f1c9a72 --yes', 'Without being asked']]);
}

function addCreate(keys: CommandUnknownOpts, cli: Cli): void {
  const create = keys
    .command('create')
    .description('make a key; it is printed this once')
    .argument('<name>', 'a name to recognise it by')
    .addOption(choice('-r, --role <role>', 'what it may do', ROLES).makeOptionMandatory())
    .option('-u, --user <userId>', 'the user that it acts for; for role user')
    .option('-Q, --queue <queue>', 'only this queue; may be repeated', collectNames)
    .option('-t, --type <type>', 'only jobs of this type; may be repeated', collectNames)
    .option('--expires <time>', 'when it stops working: a time, or in 90d', parseFutureTime)
    .action(async (name, { role, user, queue, type, expires }) => {
      const key = {
        name,
        role,
        ...(user !== undefined && { userId: user }),
        ...(queue !== undefined && { queues: queue }),
        ...(type !== undefined && { types: type }),
        ...(expires !== undefined && { expiresAt: expires }),
      };
      showKey(cli, await (await cli.client()).apiKeys.create(key));
    });
  addExamples(create, [
    ['baton keys create "mail runner" --role runner --type SEND_MAIL', 'For a runner that does one kind of work'],
    ['RUNNER_KEY=$(baton keys create ci --role runner --quiet)', 'For a script: the key alone'],
  ]);
}

function addList(keys: CommandUnknownOpts, cli: Cli): void {
  const list = keys
    .command('list')
    .alias('ls')
    .description('list the keys; the keys themselves are not stored, and cannot be shown')
    .option('-a, --all', 'revoked and expired ones too')
    .action(async ({ all }) => {
      const items = await allKeys(await cli.client());
      const shown = all === true ? items : items.filter((key) => stateOf(key) === 'active');
      cli.list({ items: shown }, shown, keyColumns(cli), 'There are no keys.');
      if (shown.length < items.length) cli.note(`${items.length - shown.length} are over; --all lists them too.`);
    });
  addExamples(list, [['baton keys list', 'Who can call the coordinator, and when each was used last']]);
}

/** Prints the key's rights on standard error, so that `$(…)` gets the key alone. */
function showKey(cli: Cli, key: CreatedApiKey): void {
  cli.show(key, () => {
    cli.terminal.line(key.key);
    cli.note(`Key "${key.name}" (${key.id}), role ${key.role}. It is not shown again.`);
  });
}

async function allKeys(client: Client): Promise<ApiKey[]> {
  const items: ApiKey[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await client.apiKeys.list({ limit: 500, cursor });
    items.push(...page.items);
    if (page.nextCursor === null) return items;
    cursor = page.nextCursor;
  }
}

function stateOf({ revokedAt, expiresAt }: ApiKey): 'active' | 'revoked' | 'expired' {
  if (revokedAt !== null) return 'revoked';
  return expiresAt !== null && Date.parse(expiresAt) <= Date.now() ? 'expired' : 'active';
}

function keyColumns(cli: Cli): Column<ApiKey>[] {
  return [
    { title: 'ID', of: (key) => key.id },
    { title: 'NAME', of: (key) => key.name, least: 10 },
    { title: 'ROLE', of: (key) => key.role },
    { title: 'STATE', of: stateOf, look: (key) => (stateOf(key) === 'active' ? 'green' : 'dim') },
    { title: 'USER', of: (key) => key.userId, least: 6, drop: 3 },
    { title: 'ONLY', of: (key) => [...key.queues, ...key.types].join(', '), least: 8, drop: 4 },
    { title: 'USED', of: (key) => cli.time(key.lastUsedAt), drop: 1 },
    { title: 'EXPIRES', of: (key) => cli.time(key.expiresAt), drop: 2 },
    { title: 'CREATED', of: (key) => cli.time(key.createdAt), drop: 5 },
  ];
}
