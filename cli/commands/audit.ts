import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { AuditEntry } from '@baton/runner-sdk';
import type { AuditAction } from '@baton/runner-sdk/protocol';
import type { Cli } from '../cli';
import { addExamples } from '../examples';
import { parsePastTime } from '../input/durations';
import { collectNames, parseWhole } from '../input/values';
import { jsonText } from '../terminal/text';
import type { Column } from '../terminal/table';

/** `baton audit` */
export function addAuditCommand(program: CommandUnknownOpts, cli: Cli): void {
  const audit = program
    .command('audit')
    .description('list what was done by hand and by whom, newest first; needs a key of role admin')
    .option('--action <action>', 'only this action, such as queue.paused; may be repeated', collectNames)
    .option('--target <id>', 'only about the thing with this id or name')
    .option('--key <id>', 'only what was done with this API key')
    .option('-u, --user <userId>', 'only what was done for this user')
    .option('--after <time>', 'only after this time, or in the last 2h', parsePastTime)
    .option('--before <time>', 'only before this time, or longer ago than 2h', parsePastTime)
    .option('-n, --limit <count>', 'at most so many', parseWhole(1, 500), 50)
    .option('--cursor <cursor>', 'go on after a page: the nextCursor that it printed')
    .action(async ({ action, target, key, user, after, before, limit, cursor }) => {
      const filter = {
        ...(action !== undefined && { action: action as AuditAction[] }),
        ...(target !== undefined && { target }),
        ...(key !== undefined && { keyId: key }),
        ...(user !== undefined && { userId: user }),
        ...(after !== undefined && { after }),
        ...(before !== undefined && { before }),
      };
      const page = await (await cli.client()).audit({ ...filter, limit, cursor });
      cli.list(page, page.items, auditColumns(cli), 'Nothing was done.');
      if (page.nextCursor !== null) cli.note(`There are more; go on with --cursor ${page.nextCursor}`);
    });
  addExamples(audit, [
    ['baton audit --action queue.paused,queue.resumed --after 1d', 'Who paused what since yesterday'],
  ]);
}

function auditColumns(cli: Cli): Column<AuditEntry>[] {
  return [
    { title: 'AT', of: (entry) => cli.time(entry.at) },
    { title: 'ACTION', of: (entry) => entry.action },
    { title: 'TARGET', of: (entry) => entry.target, least: 12 },
    { title: 'BY', of: (entry) => `${entry.by.name} (${entry.by.role})`, least: 8 },
    { title: 'FROM', of: (entry) => entry.by.address, drop: 2 },
    {
      title: 'DETAILS',
      of: (entry) => (Object.keys(entry.details).length === 0 ? null : jsonText(entry.details)),
      least: 12,
      drop: 1,
    },
  ];
}
