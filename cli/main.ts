#!/usr/bin/env node
import { Cli } from './cli';
import { readEnvironment } from './config';
import { run } from './run';

/** Ctrl-C and similar signals end waiting commands gracefully, and all others at once. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const cli = new Cli(readEnvironment(), process);
let interruptedBy: keyof typeof SIGNALS | undefined;

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    interruptedBy ??= name;
    if (!cli.interrupt(new Error(`ended by ${name}`))) process.exit(SIGNALS[name]);
  });
}
// The reader of the output, such as `head`, may close it early.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

void run(cli, process.argv.slice(2)).then((code) => {
  process.exitCode = interruptedBy === undefined || cli.isServing ? code : SIGNALS[interruptedBy];
});
