import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { renderDocs } from './docs';
import { describeSpent, describeStatements } from './explain';
import { linesFor } from './lines';
import type { Line } from './lines/line';
import { describeMachine, describeVersions, loadOfMachine } from './machine';
import { type Options, readOptions, USAGE } from './options';
import { describeProfiles } from './profile';
import { renderHead, renderTable } from './report';
import { judge, type LineResult, type Measure, type Results, type Sample, skipped } from './result';
import { Bench } from './rig/bench';
import { ROOT } from './rig/paths';
import { installPeers } from './rig/peers';
import { stopAll } from './rig/process';
import { SIZES, type Sizes } from './sizes';

const DOCS = join(ROOT, 'docs', 'benchmarks.md');

async function main(options: Options): Promise<void> {
  if (options.docsFrom !== undefined) return writeDocs(JSON.parse(readFileSync(options.docsFrom, 'utf8')) as Results);
  const sizes: Sizes = { ...SIZES[options.scale], ...(options.rounds !== undefined && { rounds: options.rounds }) };
  const lines = choose(linesFor(sizes), options.only);
  const load = loadOfMachine();
  if (options.hasPeers) await installPeers();
  const bench = await Bench.open(sizes, options);
  const close = async (): Promise<void> => {
    await stopAll();
    await bench.close();
  };
  // PostgreSQL has its own session and would keep running.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void close().finally(() => process.exit(1)));
  try {
    const { version, settings } = await bench.postgres.describe();
    const results: Results = {
      machine: describeMachine(),
      versions: describeVersions(version, options.hasPeers),
      settings: { ...settings, 'load at the start': String(load) },
      at: new Date().toISOString(),
      scale: options.scale,
      rounds: sizes.rounds,
      lines: [],
    };
    console.log(`${renderHead(results)}\n`);
    for (const line of lines) {
      results.lines.push(...(await runLine(bench, line, options)));
      results.settings['load at the end'] = String(loadOfMachine());
      // After each line, so that an aborted run leaves its results.
      if (options.jsonFile !== undefined) writeFileSync(options.jsonFile, `${JSON.stringify(results, null, 2)}\n`);
    }
    console.log(`\n${renderTable(results.lines)}`);
    if (options.writesDocs) writeDocs(results);
  } finally {
    await close();
  }
}

/** In every round Baton and each peer run once, so that other load on the machine affects all alike. */
async function runLine(bench: Bench, line: Line, options: Options): Promise<LineResult[]> {
  const ours: Sample[] = [];
  const others = { ...line.bounds, ...(options.hasPeers ? line.peers : {}) };
  const peers = new Map<string, Sample[]>(Object.keys(others).map((name) => [name, []]));
  for (let round = 1; round <= bench.sizes.rounds; round += 1) {
    const sample = await line.ours(bench);
    if (typeof sample === 'string') {
      console.log(`${line.name}: skipped, ${sample}`);
      return [skipped(line.name, sample)];
    }
    ours.push(sample);
    say(line.name, round, 'baton', sample);
    tellMore(bench);
    for (const [name, run] of Object.entries(others)) {
      const found = await run(bench);
      peers.get(name)?.push(found);
      say(line.name, round, name, found);
    }
  }
  // A few hundred jobs say nothing about speed.
  const aimOf = (measure: Measure) => (options.scale === 'smoke' ? null : measure.aim);
  return line.measures.map((measure) =>
    judge(line.name, { ...measure, aim: aimOf(measure) }, ours, Object.fromEntries(peers)),
  );
}

function tellMore(bench: Bench): void {
  if (bench.profileDir !== undefined) console.log(describeProfiles(bench.profileDir));
  for (const { spent, statements } of bench.costs.splice(0))
    console.log(`${describeSpent(spent)}\n${describeStatements(statements)}`);
}

function say(line: string, round: number, who: string, sample: Sample): void {
  const figures = Object.entries(sample).map(
    ([name, value]) => `${name === '' ? '' : `${name} `}${Number(value.toPrecision(4))}`,
  );
  console.log(`${line} ${round}: ${who} ${figures.join(', ')}`);
}

function choose(lines: Line[], only: string[]): Line[] {
  const unknown = only.find((name) => !lines.some((line) => line.name === name));
  if (unknown !== undefined)
    throw new Error(`there is no line ${unknown}; there are ${lines.map((line) => line.name).join(', ')}`);
  return only.length === 0 ? lines : lines.filter((line) => only.includes(line.name));
}

function writeDocs(results: Results): void {
  mkdirSync(dirname(DOCS), { recursive: true });
  writeFileSync(DOCS, renderDocs(results));
  console.log(`\n${DOCS} was written.`);
}

function start(): void {
  let options: Options;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    process.exitCode = 1;
    return;
  }
  main(options).catch((error: unknown) => {
    console.error(error instanceof Error ? (error.stack ?? error.message) : error);
    process.exitCode = 1;
  });
}

start();
