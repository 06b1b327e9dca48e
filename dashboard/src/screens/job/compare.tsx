import { Select } from '@mantine/core';
import type { Attempt } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { bytes, duration, exactTime, visible } from '../../parts/format';
import { Card } from '../../parts/page';
import classes from './job.module.css';

type Read = (attempt: Attempt) => string;

const LINES: [name: string, read: Read][] = [
  ['Outcome', ({ outcome }) => outcome.replace('_', ' ')],
  ['Runner', ({ runnerId }) => visible(runnerId)],
  ['Started', ({ startedAt }) => exactTime(startedAt)],
  [
    'Took',
    ({ startedAt, finishedAt }) =>
      finishedAt === null ? '–' : duration(Date.parse(finishedAt) - Date.parse(startedAt)),
  ],
  ['Error', ({ error }) => visible(error?.message ?? '–')],
  ['Code', ({ error }) => visible(error?.code ?? '–')],
  ['Stack', ({ error }) => visible(error?.stack ?? '–')],
  ['Processor time', ({ metrics }) => duration(metrics?.cpuMs ?? null)],
  ['Memory peak', ({ metrics }) => bytes(metrics?.memoryPeakBytes ?? null)],
  ['Late report', ({ lateResult }) => (lateResult === null ? '–' : visible(JSON.stringify(lateResult)))],
];

/** Two attempts side by side; what differs is marked. */
export function Compare({ attempts }: { attempts: readonly Attempt[] }) {
  const last = attempts.at(-1);
  const beforeLast = attempts.at(-2);
  const [chosen, setChosen] = useState<{ left?: number; right?: number }>({});
  if (last === undefined || beforeLast === undefined) return null;
  const left = attempts.find(({ attempt }) => attempt === chosen.left) ?? beforeLast;
  const right = attempts.find(({ attempt }) => attempt === chosen.right) ?? last;
  const data = attempts.map(({ attempt }) => ({ value: String(attempt), label: `Attempt ${attempt}` }));
  return (
    <Card title="Attempts compared">
      <div className={classes.scroll} tabIndex={0} role="region" aria-label="Two attempts side by side">
        <table className={classes.compare}>
          <thead>
            <tr>
              <td />
              <th scope="col">
                <Select
                  size="xs"
                  aria-label="The first attempt"
                  data={data}
                  value={String(left.attempt)}
                  onChange={(value) => setChosen({ ...chosen, left: Number(value) })}
                  allowDeselect={false}
                />
              </th>
              <th scope="col">
                <Select
                  size="xs"
                  aria-label="The second attempt"
                  data={data}
                  value={String(right.attempt)}
                  onChange={(value) => setChosen({ ...chosen, right: Number(value) })}
                  allowDeselect={false}
                />
              </th>
            </tr>
          </thead>
          <tbody>
            {LINES.filter(([, read]) => read(left) !== '–' || read(right) !== '–').map(([name, read]) => (
              <tr key={name} data-differs={read(left) !== read(right) || undefined}>
                <th scope="row">{name}</th>
                <td>{read(left)}</td>
                <td>{read(right)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
