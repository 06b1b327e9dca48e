import { Button, Group, Select, Switch, TextInput } from '@mantine/core';
import { useVirtualizer } from '@tanstack/react-virtual';
import type { LogLevel } from '@baton/runner-sdk/protocol';
import type { Job } from '../../api/reads';
import { useDeferredValue, useEffect, useMemo, useRef, useState } from 'react';
import { clock, count, exactTime, visible } from '../../parts/format';
import { Card, Empty, Failure } from '../../parts/page';
import classes from './job.module.css';
import { type LogEntry, useLogs } from './use-logs';

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
const LINE_HEIGHT = 22;

/** The job's log lines as they are written; only those in sight are built. */
export function Logs({ job }: { job: Job }) {
  const { lines, error, isLoading } = useLogs(job.id);
  const [level, setLevel] = useState<LogLevel>('debug');
  const [typed, setTyped] = useState('');
  const [isFollowing, setFollowing] = useState(true);
  const text = useDeferredValue(typed.trim().toLowerCase());
  const shown = useMemo(
    () =>
      lines.filter(
        (line) =>
          LEVELS.indexOf(line.level) >= LEVELS.indexOf(level) &&
          (text === '' || `${line.message} ${line.fieldsText}`.toLowerCase().includes(text)),
      ),
    [lines, level, text],
  );
  return (
    <Card
      title="Logs"
      actions={
        <Group gap={6}>
          <TextInput
            size="xs"
            placeholder="Search"
            aria-label="Search in the log lines"
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            w={140}
          />
          <Select
            size="xs"
            w={110}
            aria-label="Least severe level that is shown"
            data={LEVELS.map((each) => ({ value: each, label: each === 'debug' ? 'all levels' : `${each} and up` }))}
            value={level}
            onChange={(value) => setLevel(value ?? 'debug')}
            allowDeselect={false}
          />
          <Switch
            size="xs"
            label="Follow"
            checked={isFollowing}
            onChange={(event) => setFollowing(event.currentTarget.checked)}
          />
        </Group>
      }
    >
      {error !== null && <Failure error={error} />}
      {shown.length > 0 && <Lines lines={shown} isFollowing={isFollowing} onScrolledUp={() => setFollowing(false)} />}
      {shown.length === 0 && !isLoading && error === null && (
        <Empty title={lines.length === 0 ? 'No log lines.' : 'No line matches.'}>
          {lines.length === 0 ? (
            <>
              A handler writes them with <code>context.log.info('…')</code>.
            </>
          ) : (
            <Button
              size="compact-sm"
              variant="default"
              onClick={() => {
                setTyped('');
                setLevel('debug');
              }}
            >
              Show all {count(lines.length)}
            </Button>
          )}
        </Empty>
      )}
    </Card>
  );
}

function Lines({
  lines,
  isFollowing,
  onScrolledUp,
}: {
  lines: readonly LogEntry[];
  isFollowing: boolean;
  onScrolledUp: () => void;
}) {
  const frame = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: lines.length,
    getScrollElement: () => frame.current,
    estimateSize: () => LINE_HEIGHT,
    getItemKey: (index) => lines[index]?.seq ?? index,
    overscan: 20,
  });
  useEffect(() => {
    if (isFollowing) virtualizer.scrollToIndex(lines.length - 1, { align: 'end' });
  }, [isFollowing, lines.length, virtualizer]);
  return (
    <div
      ref={frame}
      className={classes.logs}
      style={{ height: Math.min(420, lines.length * LINE_HEIGHT + 16) }}
      tabIndex={0}
      role="log"
      aria-label="Log lines"
      aria-live="off"
      onWheel={(event) => {
        if (event.deltaY < 0 && isFollowing) onScrolledUp();
      }}
    >
      <div style={{ height: virtualizer.getTotalSize(), position: 'relative' }}>
        {virtualizer.getVirtualItems().map((item) => {
          const line = lines[item.index];
          if (line === undefined) return null;
          return (
            <div
              key={item.key}
              ref={virtualizer.measureElement}
              data-index={item.index}
              className={classes.line}
              data-level={line.level}
              style={{ transform: `translateY(${item.start}px)` }}
            >
              <time dateTime={line.at} title={`${exactTime(line.at)}, attempt ${line.attempt}`}>
                {clock(line.at)}
              </time>
              <span className={classes.level}>{line.level}</span>
              <span className={classes.message}>
                {visible(line.message)}
                {line.fieldsText !== '' && <span className={classes.fields}> {visible(line.fieldsText)}</span>}
              </span>
            </div>
          );
        })}
      </div>
    </div>
  );
}
