import type { CommandUnknownOpts } from '@commander-js/extra-typings';

/** What the word under the cursor may become. */
export interface Candidate {
  word: string;
  /** Shown beside it where the shell can. */
  what: string;
}

/** Names that only the coordinator or the profiles know. */
export type Live = 'queues' | 'runners' | 'types' | 'profiles' | 'schedules' | 'webhooks' | 'alerts';

export interface Completion {
  candidates: Candidate[];
  /** Live names that fit here too. */
  live: Live | undefined;
  /** Files fit here. */
  files: boolean;
}

const BY_ARGUMENT = new Map<string, Live>([
  ['queues name', 'queues'],
  ['runners id', 'runners'],
  ['schedules schedule', 'schedules'],
  ['schedules type', 'types'],
  ['webhooks id', 'webhooks'],
  ['alerts id', 'alerts'],
  ['jobs type', 'types'],
  ['types type', 'types'],
]);
const BY_OPTION = new Map<string, Live>([
  ['queue', 'queues'],
  ['new-queue', 'queues'],
  ['runner', 'runners'],
  ['type', 'types'],
  ['profile', 'profiles'],
]);
const FILE = /^(file|path|runner)$/;

/**
 * What fits at the end of a line, from the program itself, so that no command or option is missing.
 * @param words those after `baton`; the last one is the one being typed, perhaps empty
 */
export function complete(program: CommandUnknownOpts, words: readonly string[]): Completion {
  const typed = words.at(-1) ?? '';
  const { command, position, awaiting } = walk(program, words.slice(0, -1));
  if (awaiting !== undefined) return ofOption(command, awaiting, typed);
  const assigned = /^--([^=]+)=(.*)$/.exec(typed);
  if (typed.startsWith('-') && assigned === null) return { ...nothing, candidates: matching(options(command), typed) };
  if (assigned !== null) {
    const [, name = '', value = ''] = assigned;
    const found = ofOption(command, `--${name}`, value);
    return { ...found, candidates: found.candidates.map(({ word, what }) => ({ word: `--${name}=${word}`, what })) };
  }
  const below = command.commands.length === 0 ? [] : subcommands(command);
  if (below.length > 0) return { ...nothing, candidates: matching(below, typed) };
  const args = command.registeredArguments;
  const argument = args[Math.min(position, args.length - 1)];
  if (argument === undefined || (position >= args.length && !argument.variadic)) return nothing;
  const choices = (argument.argChoices ?? []).map((word) => ({ word, what: argument.description }));
  const group = command.parent?.name() ?? '';
  const live = BY_ARGUMENT.get(`${group} ${argument.name()}`);
  return { candidates: matching(choices, typed), live, files: FILE.test(argument.name()) };
}

const nothing: Completion = { candidates: [], live: undefined, files: false };

/** The command that the words lead to, how many of its arguments are given, and an option that waits for its value. */
function walk(
  program: CommandUnknownOpts,
  words: readonly string[],
): { command: CommandUnknownOpts; position: number; awaiting: string | undefined } {
  let command = program;
  let position = 0;
  let awaiting: string | undefined;
  for (const word of words) {
    if (awaiting !== undefined) awaiting = undefined;
    else if (word.startsWith('-')) awaiting = takesValue(command, word) ? word : undefined;
    else {
      const next = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
      if (next === undefined) position += 1;
      else [command, position] = [next, 0];
    }
  }
  return { command, position, awaiting };
}

function takesValue(command: CommandUnknownOpts, flag: string): boolean {
  const option = allOptions(command).find(({ long, short }) => long === flag || short === flag);
  return option !== undefined && (option.required || option.optional);
}

function ofOption(command: CommandUnknownOpts, flag: string, typed: string): Completion {
  const option = allOptions(command).find(({ long, short }) => long === flag || short === flag);
  if (option === undefined) return nothing;
  const choices = (option.argChoices ?? []).map((word) => ({ word, what: option.description }));
  const value = /<([^>]+)>/.exec(option.flags)?.[1] ?? '';
  const live = BY_OPTION.get((option.long ?? '').replace(/^--/, ''));
  return { candidates: matching(choices, typed), live, files: FILE.test(value) };
}

function allOptions(command: CommandUnknownOpts): CommandUnknownOpts['options'] {
  return [...command.options, ...(command.parent === null ? [] : allOptions(command.parent))];
}

function options(command: CommandUnknownOpts): Candidate[] {
  const own = allOptions(command)
    .filter(({ hidden }) => !hidden)
    .map(({ long, short, description }) => ({ word: long ?? short ?? '', what: description }));
  return [...own, { word: '--help', what: 'print help' }];
}

function subcommands(command: CommandUnknownOpts): Candidate[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((one) => ({ word: one.name(), what: one.description() }));
}

function matching(candidates: readonly Candidate[], typed: string): Candidate[] {
  return candidates.filter(({ word }) => word.startsWith(typed));
}
