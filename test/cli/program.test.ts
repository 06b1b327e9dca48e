import { Cli } from '../../cli/cli';
import { readEnvironment } from '../../cli/config';
import { EXIT_CODES } from '../../cli/exit-codes';
import { examplesOf } from '../../cli/examples';
import { createProgram } from '../../cli/program';
import { leaves, pathOf } from '../../cli/reference';
import { CLI_VERSION } from '../../cli/version';
import manifest from '../../cli/package.json';
import { Shell } from './support/command';

const shell = new Shell();
const program = createProgram(new Cli(readEnvironment({}), process));
const commands = leaves(program).map((command) => [pathOf(command), command] as const);

test('has the version of its package', () => {
  expect(CLI_VERSION).toBe(manifest.version);
});

test('has a code for each way to end, and only one', () => {
  const codes = EXIT_CODES.map(({ code }) => code);
  expect(new Set(codes).size).toBe(codes.length);
});

describe.each(commands)('%s', (path, command) => {
  test('says what it does, and shows examples of itself', () => {
    expect(command.description()).not.toBe('');
    const lines = examplesOf(command).map(({ command: line }) => line);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.filter((line) => !line.includes(path))).toEqual([]);
  });

  test('says what its arguments and options are', () => {
    expect(command.registeredArguments.filter(({ description }) => description === '')).toEqual([]);
    expect(command.options.filter(({ description }) => description === '')).toEqual([]);
  });

  test.each(examplesOf(command).map(({ command: line }) => [line]))('understands its example %s', async (line) => {
    const words = wordsOf(line.slice(line.indexOf(path)).replace(/\)$/, ''));
    const fresh = createProgram(new Cli(readEnvironment({}), process));
    const parsed: string[] = [];
    for (const leaf of leaves(fresh)) leaf.action(() => void parsed.push(pathOf(leaf)));
    await fresh.parseAsync(words.slice(1), { from: 'user' });
    expect(parsed).toEqual([path]);
  });
});

test('prints help for every command, also beside what is wrong, and knows what was meant', async () => {
  const [help, wrong, option, nothing] = await Promise.all([
    shell.spawn(['jobs', 'list', '--help']),
    shell.spawn(['job', 'lst']),
    shell.spawn(['jobs', 'list', '--quue', 'mail']),
    shell.spawn([]),
  ]);
  expect([help.code, help.stderr]).toEqual([0, '']);
  expect(help.stdout).toMatch(
    /Usage: baton jobs list[\s\S]*--status[\s\S]*--json[\s\S]*Examples:[\s\S]*\$ baton jobs list/,
  );
  expect(wrong).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/Did you mean .*\blist\b/) });
  expect(option).toMatchObject({ code: 2, stderr: expect.stringContaining('Did you mean --queue?') });
  expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('Usage: baton') });
});

test('tells wrong usage in JSON too', async () => {
  const { code, stderr } = await shell.spawn(['jobs', 'list', '--limit', '0', '--json']);
  expect(code).toBe(2);
  expect(JSON.parse(stderr.split('\n')[0] ?? '')).toEqual({
    error: { code: null, detail: expect.stringContaining('from 1 to 500'), exitCode: 2 },
  });
});

/** The words of a line as a shell takes it apart; what it would replace stays. */
function wordsOf(line: string): string[] {
  const [command = ''] = line.split(/ [<>|] ?/);
  return [...command.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) =>
    word.replace(/'([^']*)'|"([^"]*)"/g, '$1$2'),
  );
}
