import { linesFor } from './lines';
import { aimOf, formatPeers, formatted } from './report';
import type { LineResult, Results } from './result';
import { REDIS_SETTINGS } from './rig/redis';
import { type Scale, SIZES } from './sizes';

/** The page `docs/benchmarks.md`, from one run. */
export function renderDocs(results: Results): string {
  const { machine, versions, settings, at, scale, rounds, lines } = results;
  return `# Benchmarks

This page was written by \`npm run bench -- --peers --write-docs\` from the run below. Figures hold for one machine, one
hour and these settings. Read the ratios, which compare systems within one run, and run it again on your own machine
before you decide anything by it.

## The run
- ${at}, a ${scale} run, ${rounds === 1 ? 'one round' : `the median of ${rounds} rounds, Baton and the others in turns`}.
- ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}. Load, database and coordinator share these cores.
- Average load of the machine when the run began: ${settings['load at the start'] ?? 'not known'}${settings['load at the end'] === undefined ? '' : `, when it ended: ${settings['load at the end']}`}. Over 0.5 at the start,
  something else was running, and all figures are lower and less steady than they could be.
- ${Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}.

| line | figure | Baton | unit | others | ratio | aim | |
| --- | --- | ---: | --- | --- | ---: | --- | --- |
${lines.map(row).join('\n')}

A ratio is Baton's figure to the best of the others, or to itself under the easier condition; more is better in every
row, so where less is better the ratio is inverted. Aims are targets of the project, not promises.

## What is the same for all
- One PostgreSQL server, the one that comes with Baton, and a fresh database for every run of every system (a quick run keeps Baton's):
  ${Object.entries(settings)
    .filter(([name]) => !name.startsWith('load '))
    .map(([name, value]) => `\`${name} = ${value}\``)
    .join(', ')}.
  Every acknowledged write is on disk.
- Redis, for BullMQ, is set to be as durable: \`redis-server ${REDIS_SETTINGS.map((part) => (part === '' ? '""' : part)).join(' ')}\`.
- Handlers do nothing; arguments are \`{"n": <number>}\`. The benchmark measures the system, not the work.
- A rate counts only if the handlers counted each job exactly once and the store agrees; otherwise the benchmark ends.
- Creating is timed after the first 10,000 jobs (500 in a quick run), in all systems alike. Draining is timed with fresh worker processes in all
  systems; Baton's coordinator, which is a server like PostgreSQL, has already drained as many jobs for another worker.
- Baton's coordinator runs in a process of its own with its default settings, and all load comes over HTTP on the loopback
  interface from another process. The others open their store themselves, so their workers have its password. They make
  no HTTP requests and store less: graphile-worker deletes a job when it is done, and none of them stores each attempt.

## What each line means
${linesFor(SIZES[scale as Scale])
  .map(({ name, what }) => `- **${name}**: ${what}`)
  .join('\n')}

What they do not mean:
- *create-1* and *create-http* are rates with 64 calls in flight. A single call waits for one commit, as in any system.
- *drain* empties a queue that was full before. The others run at the settings that suit them best there: graphile-worker
  with a local queue of 500 and batched completion, BullMQ at concurrency 100, pg-boss as four loops that fetch and
  complete 100 at a time instead of its polling \`work\`.
- *drain-1* leaves a system the least to batch: 64 workers with one job each. BullMQ has no comparable mode.
- *pick-up* is one job at a time on a system that does nothing else. Under load, the wait in the queue counts.
- *backlog* fills the table in SQL, not over HTTP, and lets PostgreSQL's vacuum run first, as autovacuum would in time.
  It shows what a claim costs, not how long it takes to build such a backlog.
- *pinned* counts the 8 KiB pages that the claiming statements touched for each job, in memory or not. It measures how
  much an old snapshot makes a claim read, not time.
- *idle* keeps polls waiting like the SDK's, one socket each, but without the SDK's own objects.
- *bound* leaves out everything but the rows: no HTTP, no lease, no token, no handler. No job system can reach it.

## To run it again
\`\`\`sh
npm run bench                       # Baton alone, every line
npm run bench -- --quick            # within a minute
npm run bench -- --peers            # with the others, in turns; installs them first
npm run bench -- --only drain --profile --explain   # where the time of one line goes
npm run bench -- --peers --json run.json --write-docs
\`\`\`
The others have a package of their own (\`scripts/bench/peers/\`) and, where they need a newer Node, one of their own.
BullMQ needs \`redis-server\` on the path (Debian: \`apt-get install redis-server\`).
`;
}

function row(result: LineResult): string {
  const { line, measure, value, unit, peers, ratio, isMet, note } = result;
  if (value === null) return `| ${line} | | | | ${note ?? ''} | | | skipped |`;
  const verdict = isMet === null ? '' : isMet ? 'met' : 'missed';
  return `| ${line} | ${measure} | ${formatted(value)} | ${unit} | ${formatPeers(peers)} | ${ratio === null ? '' : ratio.toFixed(2)} | ${aimOf(result).replace('>=', '≥').replace('<=', '≤')} | ${verdict} |`;
}
