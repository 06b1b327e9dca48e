import type { Queue, RunnerView } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { STATUSES } from '../../input/job-filter';
import { detailLines } from '../../terminal/details';
import { countText, percentText } from '../../terminal/numbers';
import { lookOf } from '../../terminal/style';
import { type Column, tableLines } from '../../terminal/table';
import { clean, cut, oneLine, padEnd } from '../../terminal/text';
import { durationText } from '../../terminal/time';
import { jobColumns } from '../jobs/columns';
import { detailsOf } from '../jobs/show';
import type { Reading, View } from './model';

export interface Picture {
  view: View;
  reading: Reading | null;
  /** The chosen row. */
  chosen: string | null;
  /** First line of a page of text that is shown. */
  scroll: number;
  /** A question, a result or an error, instead of the keys. */
  message: string | null;
  /** Where, and whether what is shown is old. */
  title: string;
}

const KEYS = {
  queues: '↑↓ choose  Enter jobs  p pause/resume  Tab runners  q quit',
  runners: '↑↓ choose  Enter jobs  d drain/resume  Tab queues  q quit',
  jobs: '↑↓ choose  Enter open  c cancel  r retry  Esc back  q quit',
  job: '↑↓ scroll  c cancel  r retry  Esc back  q quit',
} as const;
/** Of the lines below the head, for queues; the rest is for runners. */
const QUEUES_SHARE = 0.6;
const CODES = /\u001b\[\d+m/g;

/** The lines of the screen, none wider than it. */
export function draw(cli: Cli, picture: Picture, { columns, rows }: { columns: number; rows: number }): string[] {
  const { style } = cli.terminal;
  const head = [style('bold', cut(picture.title, columns)), ...statusLines(cli, picture.reading, columns)];
  const footer = cut(
    oneLine(picture.message ?? KEYS[picture.view.kind === 'overview' ? picture.view.focus : picture.view.kind]),
    columns,
  );
  const room = Math.max(0, rows - head.length - 1);
  const body = picture.reading === null ? [] : bodyOf(cli, picture, picture.reading, columns, room);
  const filled = [...body, ...Array.from({ length: Math.max(0, room - body.length) }, () => '')].slice(0, room);
  return [...head, ...filled, style(picture.message === null ? 'dim' : 'yellow', footer)].slice(-rows);
}

function statusLines(cli: Cli, reading: Reading | null, columns: number): string[] {
  if (reading === null) return [''];
  const { style } = cli.terminal;
  const { jobs, inPerMinute, outPerMinute, oldestAgeMs, runners, lastHour } = reading.stats;
  const counts = STATUSES.map((status) => ({ status, text: `${status} ${countText(jobs[status])}` }));
  const plainWidth = counts.map(({ text }) => text).join('  ').length;
  const statuses = counts
    .map(({ status, text }) => (plainWidth > columns ? text : style(lookOf(status), text)))
    .join('  ');
  const rates = [
    `in ${countText(inPerMinute)}/min  out ${countText(outPerMinute)}/min`,
    oldestAgeMs === null ? 'nothing waits' : `oldest waits ${durationText(oldestAgeMs)}`,
    ...(runners === null ? [] : [`runners ${runners.total}, ${runners.active} busy`]),
    `last hour ${percentText(lastHour.successRate) ?? '-'} succeeded`,
  ].join('  ');
  return [plainWidth > columns ? cut(statuses, columns) : statuses, cut(rates, columns), ''];
}

function bodyOf(cli: Cli, picture: Picture, reading: Reading, columns: number, room: number): string[] {
  const { view, chosen } = picture;
  if (view.kind === 'jobs') {
    const list = tablePart(cli, jobColumns(cli), reading.jobs, (job) => job.id, chosen, columns, room - 1);
    return [cli.terminal.style('bold', cut(oneLine(view.title), columns)), ...list];
  }
  if (view.kind === 'job') return jobLines(cli, reading, columns).slice(picture.scroll, picture.scroll + room);
  const forQueues = Math.max(2, Math.min(Math.floor(room * QUEUES_SHARE), reading.queues.length + 1));
  const of = (focus: 'queues' | 'runners') => (view.focus === focus ? chosen : null);
  return [
    ...tablePart(cli, queueColumns(), reading.queues, (queue) => queue.name, of('queues'), columns, forQueues),
    '',
    ...tablePart(
      cli,
      runnerColumns(cli),
      reading.runners,
      (runner) => runner.id,
      of('runners'),
      columns,
      room - forQueues - 1,
    ),
  ];
}

/** A job and why it waits, line by line. */
export function jobLines(cli: Cli, { job, explanation }: Reading, columns: number): string[] {
  if (job === null) return [];
  const { style } = cli.terminal;
  const reasons = (explanation?.reasons ?? []).map(({ message }) => `  waits: ${clean(message)}`);
  const lines = [...reasons, ...detailLines(detailsOf(cli, job), (_look, text) => text)];
  const [title, status] = [oneLine(job.type), job.status];
  return [
    `${style('bold', cut(title, columns - status.length - 1))} ${style(lookOf(status), status)}`,
    ...lines.map((line) => cut(line, columns)),
  ];
}

/** As many rows as there is room for, around the chosen one, which is marked. */
function tablePart<Row>(
  cli: Cli,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  nameOf: (row: Row) => string,
  chosen: string | null,
  width: number,
  room: number,
): string[] {
  if (room < 2) return [];
  const fitting = room - 1;
  const at = Math.max(
    0,
    rows.findIndex((row) => nameOf(row) === chosen),
  );
  const from = Math.max(0, Math.min(at - Math.floor(fitting / 2), rows.length - fitting));
  const part = rows.slice(from, from + fitting);
  const lines = tableLines(columns, part, width, cli.terminal.style).map((line) => fitted(line, width));
  return lines.map((line, index) => {
    const row = part[index - 1];
    if (row === undefined || nameOf(row) !== chosen) return line;
    return cli.terminal.style('inverse', padEnd(line.replace(CODES, ''), width));
  });
}

/** What may not be cut can be wider than a narrow screen. */
function fitted(line: string, width: number): string {
  const bare = line.replace(CODES, '');
  const short = cut(bare, width);
  return short === bare ? line : short;
}

function queueColumns(): Column<Queue>[] {
  const age = ({ oldestAgeMs }: Queue) => (oldestAgeMs === null ? null : durationText(oldestAgeMs));
  return [
    { title: 'QUEUE', of: (queue) => queue.name, least: 10 },
    { title: 'WAITING', of: (queue) => countText(queue.waiting), align: 'right' },
    { title: 'RUNNING', of: (queue) => countText(queue.running), align: 'right' },
    { title: 'OLDEST', of: age, align: 'right', drop: 1 },
    { title: 'IN/MIN', of: (queue) => countText(queue.inPerMinute), align: 'right', drop: 2 },
    { title: 'OUT/MIN', of: (queue) => countText(queue.outPerMinute), align: 'right', drop: 2 },
    {
      title: 'STATE',
      of: ({ paused }) => (paused === null ? null : `paused${paused.reason === null ? '' : `: ${paused.reason}`}`),
      look: () => 'yellow',
      least: 8,
      drop: 3,
    },
  ];
}

function runnerColumns(cli: Cli): Column<RunnerView>[] {
  return [
    { title: 'RUNNER', of: (runner) => runner.id, least: 12 },
    { title: 'STATUS', of: (runner) => runner.status, look: (runner) => lookOf(runner.status) },
    { title: 'RUNNING', of: (runner) => runner.running, align: 'right' },
    { title: 'SEEN', of: (runner) => cli.time(runner.lastSeenAt), drop: 1 },
    { title: 'VERSION', of: (runner) => runner.version, least: 6, drop: 3 },
    { title: 'TYPES', of: (runner) => runner.types.join(', '), least: 8, drop: 2 },
  ];
}
