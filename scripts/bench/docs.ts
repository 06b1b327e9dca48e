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
row, so where less is better the ratio is turned round. Aims are what the project wants to hold, not what it promises.

## What is the same for all
- One PostgreSQL server, the one that comes with Baton, and a fresh database for every run of every system (a quick run keeps Baton's):
  ${Object.entries(settings)
    .filter(([name]) => !name.startsWith('load '))
    .map(([name, value]) => `\`${name} = ${value}\``)
    .join(', ')}.
  Every acknowledged write is on disk.
- Redis, for BullMQ, is made as durable: \`redis-server ${REDIS_SETTINGS.map((part) => (part === '' ? '""' : part)).join(' ')}\`.
- Handlers do nothing; arguments are \`{"n": <number>}\`. What is measured is the system, not work.
- Before a rate counts, every job was handled exactly once by the handlers' own count, and the store was asked whether it
  agrees. A run in which it does not ends the benchmark.
- Creating is timed after the first 10,000 jobs (500 in a quick run), in all systems alike. Draining is timed with fresh worker processes in all
  systems; Baton's coordinator, a server like PostgreSQL, has drained as many jobs of another worker before.
- Baton's coordinator runs in a process of its own with its default settings, and all load comes over HTTP on the loopback
  interface from another process. The others open their store themselves, so their workers hold its password; they make
  no HTTP request and keep less: graphile-worker deletes a job when it is done, and none of them keeps each attempt.

## What each line means
${linesFor(SIZES[scale as Scale])
  .map(({ name, what }) => `- **${name}**: ${what}`)
  .join('\n')}

What they do not mean:
- *create-1* and *create-http* are rates with 64 calls in flight. One call alone waits for one commit, here as anywhere.
- *drain* empties a queue that was full before. The others run at the settings that suit them best there: graphile-worker
  with a local queue of 500 and batched completion, BullMQ at concurrency 100, pg-boss as four loops that fetch and
  complete 100 at a time instead of its polling \`work\`.
- *drain-1* is the least that a system can batch: 64 workers with one job each. BullMQ has no such mode to compare.
- *pick-up* is one job at a time on a system that does nothing else. Under load, what waits in the queue counts.
- *backlog* fills the table in SQL, not over HTTP, and lets PostgreSQL's vacuum run first, as autovacuum would in time.
  It tells what a claim costs, not how long it takes to build such a backlog.
- *pinned* counts the 8 KiB pages that the claiming statements touched for each job, in memory or not. It is a measure of
  what an old snapshot makes a claim read, not of time.
- *idle* parks polls as the SDK sends them, one socket each, but not the SDK's own objects.
- *bound* leaves out everything but the rows: no HTTP, no lease, no token, no handler. No job system can have all of it.

## To run it again
\`\`\`sh
npm run bench                       # Baton alone, every line
npm run bench -- --quick            # within a minute
npm run bench -- --peers            # with the others, in turns; installs them first
npm run bench -- --only drain --profile --explain   # where the time of one line goes
npm run bench -- --peers --json run.json --write-docs
\`\`\`
The others are a package of their own (\`scripts/bench/peers/\`), on a Node of their own where they need a newer one.
BullMQ needs \`redis-server\` on the path (Debian: \`apt-get install redis-server\`).
`;
}

function row(result: LineResult): string {
  const { line, measure, value, unit, peers, ratio, isMet, note } = result;
  if (value === null) return `| ${line} | | | | ${note ?? ''} | | | skipped |`;
  const verdict = isMet === null ? '' : isMet ? 'met' : 'missed';
  return `| ${line} | ${measure} | ${formatted(value)} | ${unit} | ${formatPeers(peers)} | ${ratio === null ? '' : ratio.toFixed(2)} | ${aimOf(result).replace('>=', '≥').replace('<=', '≤')} | ${verdict} |`;
}
