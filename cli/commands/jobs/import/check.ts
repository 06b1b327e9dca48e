import type { Cli } from '../../../cli';
import { Ending } from '../../../exit-codes';
import { countText } from '../../../terminal/numbers';
import { StatusLine } from '../../../terminal/status-line';
import { clean } from '../../../terminal/text';
import type { JobShape } from './job';
import { RowFault } from './row-fault';
import { readRows, type Source } from './rows';

const MOST_SHOWN = 10;

/**
 * Reads a file as an import does, and holds its rows against the protocol. What only the coordinator knows it cannot.
 */
export async function checkFile(cli: Cli, { source, shape }: { source: Source; shape: JobShape }): Promise<void> {
  const { bulkJob } = await import('@baton/runner-sdk/protocol');
  const signal = cli.listenForSignals();
  const status = new StatusLine(cli);
  let rows = 0;
  const faults: { line: number; detail: string }[] = [];
  let refused = 0;
  for await (const { job, line } of readRows(source, shape, cli.terminal.streams)) {
    signal.throwIfAborted();
    rows += 1;
    status.draw(() => `${countText(rows)} rows read`);
    const parsed = job instanceof RowFault ? undefined : bulkJob.safeParse(job);
    if (parsed?.success === true) continue;
    refused += 1;
    const detail =
      job instanceof RowFault
        ? job.detail
        : (parsed?.error.issues ?? [])
            .map(({ path, message }) => `${path.join('.') || 'value'}: ${message}`)
            .join('; ');
    if (faults.length < MOST_SHOWN) faults.push({ line, detail });
  }
  status.clear();
  cli.show({ dryRun: true, rows, refused, faults }, () => {
    for (const { line, detail } of faults) cli.terminal.note(clean(`line ${line}: ${detail}`));
    cli.terminal.line(
      `${countText(rows)} rows${refused === 0 ? ', all of them jobs' : `, ${countText(refused)} of them no jobs`}; nothing was sent.`,
    );
  });
  if (refused > 0) throw new Ending('incomplete');
}
