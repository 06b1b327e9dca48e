import { CommanderError } from 'commander';
import type { Cli } from './cli';
import { Ending, exitCode, exitOf, Failure, isBatonError } from './exit-codes';
import { createProgram } from './program';
import { clean, jsonText } from './terminal/text';

/** Runs one command, and reports errors. Returns the exit code. */
export async function run(cli: Cli, args: readonly string[]): Promise<number> {
  // Before the options are parsed, because they may be invalid.
  const wantsJson = args.includes('--json');
  try {
    await createProgram(cli, wantsJson).parseAsync(args, { from: 'user' });
    return exitCode('ok');
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode('ok') : exitCode('usage');
    if (error instanceof Ending) return exitCode(error.exit);
    // An error after Ctrl-C is caused by it.
    if (cli.stopping.signal.aborted) return exitCode('interrupted');
    const exit = exitOf(error);
    if (wantsJson) cli.terminal.note(jsonText({ error: { ...fieldsOf(error), exitCode: exitCode(exit) } }));
    else for (const line of describe(error)) cli.terminal.note(line);
    return exitCode(exit);
  } finally {
    await cli.close();
  }

  function describe(error: unknown): string[] {
    const { code, detail, errors, requestId, advice } = fieldsOf(error);
    const style = cli.terminal.errorStyle;
    return [
      `${style('red', 'error:')} ${clean(detail)}${code === null ? '' : style('dim', ` (${code})`)}`,
      ...(errors ?? []).map(({ path, message }) => `  ${clean(path === '' ? 'value' : path)}: ${clean(message)}`),
      ...(advice === undefined ? [] : [clean(advice)]),
      ...(requestId === undefined ? [] : [style('dim', `request ${clean(requestId)}`)]),
    ];
  }
}

interface ErrorFields {
  code: string | null;
  detail: string;
  errors?: { path: string; message: string }[];
  requestId?: string;
  advice?: string;
}

function fieldsOf(error: unknown): ErrorFields {
  if (isBatonError(error)) {
    const { code, detail, errors, requestId } = error;
    return { code, detail, ...(errors.length > 0 && { errors }), ...(requestId !== null && { requestId }) };
  }
  if (error instanceof Failure)
    return { code: null, detail: error.message, ...(error.advice !== undefined && { advice: error.advice }) };
  if (!(error instanceof Error)) return { code: null, detail: String(error) };
  const isPlain = exitOf(error) !== 'internal' || 'syscall' in error;
  return { code: null, detail: isPlain ? error.message : (error.stack ?? error.message) };
}
