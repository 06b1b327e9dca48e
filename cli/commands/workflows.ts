import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { WorkflowBuilder } from '@baton/runner-sdk';
import type { Workflow, WorkflowNode, WorkflowSummary } from '@baton/runner-sdk/protocol';
import type { Cli } from '../cli';
import { Ending, Failure } from '../exit-codes';
import { addExamples } from '../examples';
import { choice } from '../input/choices';
import { readDocument } from '../input/document';
import { parseDuration } from '../input/durations';
import { readJson, requireObject } from '../input/json';
import { parseWhole } from '../input/values';
import { countText } from '../terminal/numbers';
import { lookOf } from '../terminal/style';
import type { Column } from '../terminal/table';

const STATUSES = ['running', 'completed', 'failed', 'cancelled'] as const;
const OUTCOMES = ['opened', 'refused'] as const;

/** `baton workflows …` */
export function addWorkflowCommands(program: CommandUnknownOpts, cli: Cli): void {
  const workflows = program
    .command('workflows')
    .alias('workflow')
    .description('graphs of jobs that wait for each other');
  addRun(workflows, cli);
  addReading(workflows, cli);
  addControls(workflows, cli);
  addGates(workflows, cli);
}

function addRun(workflows: CommandUnknownOpts, cli: Cli): void {
  const run = workflows
    .command('run')
    .description('create the workflow that a file describes, as POST /workflows takes it')
    .argument(
      '<file>',
      'YAML or JSON: {name, jobs: {key: {type, arguments, dependsOn} | {gate}}}; - for standard input',
    )
    .option('--idempotency-key <key>', 'the same call again is the same workflow; default: that of the file, or random')
    .option('-w, --wait', 'wait until it has ended, and print it; exit code 7 if it did not complete')
    .option('--wait-timeout <duration>', 'wait no longer than this (exit code 9)', parseDuration)
    .action(async (file, { idempotencyKey, wait, waitTimeout }) => {
      const { name, jobs, ...rest } = requireObject(await readDocument(file, cli.terminal.streams), file);
      if (typeof name !== 'string') throw new Failure('usage', `${file} has no name`, 'Such as name: report.');
      const nodes = Object.entries(requireObject(jobs, `jobs in ${file}`));
      const client = await cli.client();
      const options = { ...rest, ...(idempotencyKey !== undefined && { idempotencyKey }) };
      const made = await client.workflows.create(name, (workflow) => addNodes(workflow, nodes), options);
      if (wait !== true && waitTimeout === undefined)
        return cli.show(made, () =>
          cli.terminal.line(`${made.id}  ${made.name}, ${countText(made.counts.total)} jobs`),
        );
      await waitFor(cli, made.id, waitTimeout);
    });
  addExamples(run, [['baton workflows run report.yaml --wait', 'Create it, and wait for its end']]);
}

/** The coordinator reports unknown fields. */
function addNodes(workflow: WorkflowBuilder, nodes: readonly [string, unknown][]): void {
  for (const [key, node] of nodes) {
    const { gate, type, arguments: args, dependsOn = [], ...fields } = requireObject(node, `jobs.${key}`);
    if (!Array.isArray(dependsOn)) throw new Failure('usage', `dependsOn of ${key} must be a list of keys`);
    const after = dependsOn.map((parent) => workflow.step(String(parent)));
    if (gate !== undefined) {
      workflow.gate(key, { ...fields, ...requireObject(gate, `gate of ${key}`), after });
    } else {
      if (typeof type !== 'string') throw new Failure('usage', `${key} has neither a type nor a gate`);
      workflow.add(type, args ?? {}, { ...fields, key, after });
    }
  }
}

function addReading(workflows: CommandUnknownOpts, cli: Cli): void {
  const list = workflows
    .command('list')
    .alias('ls')
    .description('list the workflows, newest first')
    .addOption(choice('-s, --status <status>', 'only those with this status', STATUSES))
    .option('--waiting', 'only those with a gate that waits for a decision')
    .option('-n, --limit <count>', 'at most so many', parseWhole(1, 500), 50)
    .option('--cursor <cursor>', 'go on after a page: the nextCursor that it printed')
    .action(async ({ waiting, ...filter }) => {
      const found = await (await cli.client()).workflows.list({ ...filter, ...(waiting && { gate: 'waiting' }) });
      cli.list(found, found.items, workflowColumns(cli), 'There are no workflows.');
    });
  addExamples(list, [
    ['baton workflows list --status failed', 'What needs a look'],
    ['baton workflows list --waiting', 'What waits for a decision'],
  ]);

  const show = workflows
    .command('show')
    .alias('get')
    .description('show one workflow, with its jobs and what they wait for')
    .argument('<id>', 'id of the workflow')
    .action(async (id) => {
      const workflow = await (await cli.client()).workflows.get(id);
      cli.show(workflow, () => showWorkflow(cli, workflow));
    });
  addExamples(show, [['baton workflows show 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'How far it is']]);

  const wait = workflows
    .command('wait')
    .description('wait until it has ended, and print it; exit code 7 if it did not complete')
    .argument('<id>', 'id of the workflow')
    .option('--timeout <duration>', 'wait no longer than this (exit code 9)', parseDuration)
    .action(async (id, { timeout }) => waitFor(cli, id, timeout));
  addExamples(wait, [['baton workflows wait 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'In a script']]);
}

function addControls(workflows: CommandUnknownOpts, cli: Cli): void {
  const cancel = workflows
    .command('cancel')
    .description('cancel its jobs that have not ended')
    .argument('<id>', 'id of the workflow')
    .option('--key <key>', 'only this job and those that come after it')
    .option('--reason <text>', 'why; kept with the jobs')
    .action(async (id, options) => {
      await cli.confirm(`Cancel the jobs of workflow ${id} that have not ended?`);
      const workflow = await (await cli.client()).workflows.cancel(id, options);
      cli.show(workflow, () => showWorkflow(cli, workflow));
    });
  addExamples(cancel, [
    ['baton workflows cancel 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --key publish', 'One job and what follows it'],
  ]);

  const retry = workflows
    .command('retry')
    .description('retry from where it failed; what completed is kept')
    .argument('<id>', 'id of the workflow')
    .action(async (id) => {
      const workflow = await (await cli.client()).workflows.retry(id);
      cli.show(workflow, () => showWorkflow(cli, workflow));
    });
  addExamples(retry, [['baton workflows retry 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'What failed, once more']]);
}

function addGates(workflows: CommandUnknownOpts, cli: Cli): void {
  for (const [verb, outcome] of [
    ['open', 'opened'],
    ['refuse', 'refused'],
  ] as const) {
    const decide = workflows
      .command(verb)
      .description(`${verb} a gate`)
      .argument('<id>', 'id of the workflow')
      .argument('<key>', 'key of the gate')
      .option('--result <json>', 'what the jobs after it receive: JSON, @file, or - for standard input')
      .action(async (id, key, { result }) => {
        if (result !== undefined && outcome === 'refused')
          throw new Failure('usage', 'a refused gate has no result', `baton workflows open ${id} ${key} --result …`);
        const value =
          result === undefined ? undefined : await readJson(result, 'the value of --result', cli.terminal.streams);
        const gate = await (await cli.client()).workflows.decide(id, key, outcome, value as never);
        cli.show(gate, () => cli.terminal.line(`${key} is ${outcome}.`));
      });
    addExamples(decide, [
      [`baton workflows ${verb} 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 approve`, 'Let it go on, or not'],
    ]);
  }

  const link = workflows
    .command('link')
    .description('make a link by which anybody can decide a gate, without a key')
    .argument('<id>', 'id of the workflow')
    .argument('<key>', 'key of the gate')
    .addOption(choice('--only <outcome>', 'what the link may be used for; default: both', OUTCOMES))
    .option('--expires-in <duration>', 'how long it can be used; default: 7d', parseDuration)
    .action(async (id, key, { only, expiresIn }) => {
      const made = await (await cli.client()).workflows.link(id, key, { outcome: only, expiresInMs: expiresIn });
      cli.show(made, () => cli.terminal.line(made.url));
    });
  addExamples(link, [['baton workflows link 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 approve', 'For whoever decides']]);
}

async function waitFor(cli: Cli, id: string, timeoutMs: number | undefined): Promise<void> {
  const client = await cli.client();
  const signal = cli.listenForSignals();
  const { status } = await client.workflows.wait(id, { signal, ...(timeoutMs !== undefined && { timeoutMs }) });
  const workflow = await client.workflows.get(id);
  cli.show(workflow, () => showWorkflow(cli, workflow));
  if (status !== 'completed') throw new Ending('unsuccessful');
}

function showWorkflow(cli: Cli, workflow: Workflow): void {
  const { style } = cli.terminal;
  const { id, name, status, jobs, createdAt } = workflow;
  cli.terminal.line(
    `${style('bold', name)} ${style(lookOf(status), status)}  ${id}  created ${cli.time(createdAt) ?? ''}`,
  );
  const rows = Object.entries(jobs).map(([key, node]) => ({ key, ...node }));
  cli.list({ items: rows }, rows, nodeColumns(), 'It has no jobs.');
}

function nodeColumns(): Column<WorkflowNode & { key: string }>[] {
  const statusOf = ({ status, gate }: WorkflowNode): string => (gate?.waiting === true ? 'waiting' : status);
  return [
    { title: 'KEY', of: ({ key }) => key, least: 8 },
    { title: 'STATUS', of: statusOf, look: (node) => lookOf(statusOf(node)) },
    { title: 'TYPE', of: ({ type, gate }) => (gate === undefined ? type : 'gate'), least: 8, drop: 2 },
    { title: 'AFTER', of: ({ dependsOn }) => dependsOn.join(', '), least: 8, drop: 1 },
    { title: 'JOB', of: ({ id }) => id, drop: 3 },
  ];
}

function workflowColumns(cli: Cli): Column<WorkflowSummary>[] {
  return [
    { title: 'ID', of: ({ id }) => id },
    { title: 'NAME', of: ({ name }) => name, least: 10 },
    { title: 'STATUS', of: ({ status }) => status, look: ({ status }) => lookOf(status) },
    { title: 'JOBS', of: ({ counts }) => countText(counts.total), align: 'right' },
    { title: 'LEFT', of: ({ counts }) => countText(counts.blocked + counts.pending + counts.running), align: 'right' },
    { title: 'FAILED', of: ({ counts }) => countText(counts.failed), align: 'right', drop: 1 },
    { title: 'CREATED', of: ({ createdAt }) => cli.time(createdAt), drop: 2 },
  ];
}
