import type { CommandUnknownOpts } from '@commander-js/extra-typings';

export interface Example {
  command: string;
  /** What it does. */
  does: string;
}

const ALL = new WeakMap<object, Example[]>();

/** Examples below a command's help, and in the reference: `[command, what it does]`. */
export function addExamples(command: CommandUnknownOpts, examples: readonly (readonly [string, string])[]): void {
  const list = examples.map(([line, does]) => ({ command: line, does }));
  ALL.set(command, list);
  command.addHelpText('after', () =>
    ['', 'Examples:', ...list.flatMap(({ command: line, does }) => [`  ${does}:`, `    $ ${line}`])].join('\n'),
  );
}

export function examplesOf(command: object): readonly Example[] {
  return ALL.get(command) ?? [];
}
