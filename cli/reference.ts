import type { CommandUnknownOpts, Option } from '@commander-js/extra-typings';
import { EXIT_CODES } from './exit-codes';
import { examplesOf } from './examples';

/** The reference of every command as Markdown, generated from the program itself. */
export function renderReference(program: CommandUnknownOpts): string {
  return [
    '## Global options',
    'They may stand anywhere on the line.',
    optionTable(program.options),
    '## Exit codes',
    table(
      ['code', 'meaning'],
      EXIT_CODES.map(({ code, meaning }) => [`\`${code}\``, meaning]),
    ),
    '## Commands',
    table(
      ['command', 'what it does'],
      leaves(program).map((command) => [
        `[\`${pathOf(command)}\`](#${anchorOf(pathOf(command))})`,
        command.description(),
      ]),
    ),
    ...leaves(program).map(section),
  ].join('\n\n');
}

/** Every command that does something, in the order of the help. */
export function leaves(command: CommandUnknownOpts): CommandUnknownOpts[] {
  const below = commandsOf(command);
  return below.length === 0 ? [command] : below.flatMap((one) => leaves(one));
}

/** As it is typed, such as `baton jobs list`. */
export function pathOf(command: CommandUnknownOpts): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** Commands shown in the help, except for `help` itself. */
function commandsOf(command: CommandUnknownOpts): CommandUnknownOpts[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== 'help');
}

function section(command: CommandUnknownOpts): string {
  const path = pathOf(command);
  const aliases = [
    ...command.aliases(),
    ...(command.parent?.aliases() ?? []).map((alias) => `${alias} ${command.name()}`),
  ];
  const args = command.registeredArguments.map((one) => [`\`${one.name()}\``, one.description]);
  return [
    `### ${path}`,
    sentence(command.description()),
    `\`\`\`text\n${path} ${command.usage()}\n\`\`\``,
    ...(aliases.length === 0 ? [] : [`Short forms: ${aliases.map((alias) => `\`${alias}\``).join(', ')}.`]),
    ...(args.length === 0 ? [] : [table(['argument', 'meaning'], args)]),
    ...(command.options.length === 0 ? [] : [optionTable(command.options)]),
    `\`\`\`sh\n${examplesOf(command)
      .map(({ command: line, does }) => `# ${does}\n${line}`)
      .join('\n')}\n\`\`\``,
  ].join('\n\n');
}

function optionTable(options: readonly Option[]): string {
  return table(
    ['option', 'meaning'],
    options
      .filter(({ hidden }) => !hidden)
      .map((option) => [`\`${option.flags}\``, `${option.description}${choicesText(option)}${defaultText(option)}`]),
  );
}

function choicesText({ argChoices }: Option): string {
  return argChoices === undefined ? '' : `: ${argChoices.map((one) => `\`${one}\``).join(', ')}`;
}

function defaultText(option: Option): string {
  const value: unknown = option.defaultValue;
  return value === undefined || option.isBoolean() || option.negate ? '' : `; default: ${JSON.stringify(value)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(' ', '-');
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') || text.endsWith('…') ? '' : '.'}`;
}
