import { Checkbox, Loader } from '@mantine/core';
import { useVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, type ReactNode, useCallback, useEffect, useRef, useState } from 'react';
import { useSize } from './use-size';
import classes from './virtual-table.module.css';

export interface Column<Row> {
  key: string;
  header: string;
  cell: (row: Row) => ReactNode;
  /** A width of CSS grid: `minmax(8rem, 2fr)`, `7rem`. */
  width: string;
  isNumber?: boolean;
  /** Shown from this width of the table on, in pixels. */
  from?: number;
}

export interface Selection {
  isSelected: (key: string) => boolean;
  toggle: (key: string, isRange: boolean) => void;
  toggleAll: () => void;
  state: 'none' | 'some' | 'all';
}

interface Props<Row> {
  label: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  keyOf: (row: Row) => string;
  /** Called on Enter, or on a click beside links and buttons. */
  onOpen?: ((row: Row) => void) | undefined;
  selection?: Selection | undefined;
  /** Called when the end comes into sight. */
  onEnd?: (() => void) | undefined;
  isLoadingMore?: boolean;
  rowHeight?: number;
  empty?: ReactNode;
  /** Told whether the first row is in sight, which decides whether new ones may be put before it. */
  onTop?: ((isAtTop: boolean) => void) | undefined;
}

const ROW_HEIGHT = 40;
const OVERSCAN = 12;

/**
 * A table that builds only the rows in sight, however many there are. Arrows or j and k move, Enter opens, x selects.
 */
export function VirtualTable<Row>(props: Props<Row>) {
  const { label, rows, keyOf, onOpen, selection, onEnd, isLoadingMore = false, empty, onTop } = props;
  const { rowHeight = ROW_HEIGHT } = props;
  const frame = useRef<HTMLDivElement>(null);
  const [measured, { width }] = useSize();
  const setFrame = useCallback(
    (element: HTMLDivElement | null) => {
      frame.current = element;
      return measured(element);
    },
    [measured],
  );
  const [active, setActive] = useState(-1);
  const columns = props.columns.filter(({ from = 0 }) => width === 0 || width >= from);
  const template = [...(selection === undefined ? [] : ['2.2rem']), ...columns.map((column) => column.width)].join(' ');
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => rowHeight,
    getItemKey: (index) => keyOf(rows[index] as Row),
    overscan: OVERSCAN,
  });
  const items = virtualizer.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  const isAtEnd = rows.length > 0 && last >= rows.length - OVERSCAN;
  useEffect(() => {
    if (isAtEnd) onEnd?.();
  }, [isAtEnd, rows.length, onEnd]);

  const move = (to: number): void => {
    const next = Math.min(rows.length - 1, Math.max(0, to));
    setActive(next);
    virtualizer.scrollToIndex(next);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const row = rows[active];
    const isOnRow = event.target === frame.current;
    if (event.key === 'ArrowDown' || event.key === 'j') move(active + 1);
    else if (event.key === 'ArrowUp' || event.key === 'k') move(active - 1);
    else if (event.key === 'Home') move(0);
    else if (event.key === 'End') move(rows.length - 1);
    else if (event.key === 'Enter' && isOnRow && row !== undefined) onOpen?.(row);
    else if (event.key === 'x' && row !== undefined) selection?.toggle(keyOf(row), event.shiftKey);
    else return;
    event.preventDefault();
  };

  return (
    <div
      ref={setFrame}
      className={classes.frame}
      tabIndex={0}
      role="region"
      aria-label={label}
      onKeyDown={onKeyDown}
      onScroll={(event) => onTop?.(event.currentTarget.scrollTop < rowHeight)}
    >
      <div role="table" aria-label={label} aria-rowcount={rows.length + 1}>
        <div role="rowgroup" className={classes.head}>
          <div role="row" aria-rowindex={1} className={classes.row} style={{ gridTemplateColumns: template }}>
            {selection !== undefined && (
              <div role="columnheader">
                <Checkbox
                  size="xs"
                  aria-label="Select all that are shown"
                  checked={selection.state === 'all'}
                  indeterminate={selection.state === 'some'}
                  onChange={selection.toggleAll}
                />
              </div>
            )}
            {columns.map((column) => (
              <div key={column.key} role="columnheader" className={column.isNumber === true ? classes.right : 'cut'}>
                {column.header}
              </div>
            ))}
          </div>
        </div>
        <div role="rowgroup" className={classes.body} style={{ height: virtualizer.getTotalSize() }}>
          {items.map((item) => {
            const row = rows[item.index] as Row;
            const key = keyOf(row);
            const isSelected = selection?.isSelected(key) ?? false;
            return (
              <div
                key={item.key}
                role="row"
                aria-rowindex={item.index + 2}
                className={`${classes.row} ${classes.entry}`}
                data-active={item.index === active || undefined}
                data-selected={isSelected || undefined}
                data-opens={onOpen !== undefined || undefined}
                style={{
                  gridTemplateColumns: template,
                  height: rowHeight,
                  transform: `translateY(${item.start}px)`,
                }}
                onClick={(event) => {
                  if (isInteractive(event.target) || hasTextSelected()) return;
                  setActive(item.index);
                  onOpen?.(row);
                }}
              >
                {selection !== undefined && (
                  <div role="cell">
                    <Checkbox
                      size="xs"
                      aria-label={`Select ${key}`}
                      checked={isSelected}
                      // The change event does not tell of the shift key; the click does.
                      onChange={() => undefined}
                      onClick={(event) => selection.toggle(key, event.shiftKey)}
                    />
                  </div>
                )}
                {columns.map((column) => (
                  <div
                    key={column.key}
                    role="cell"
                    className={column.isNumber === true ? `${classes.right} number cut` : 'cut'}
                  >
                    {column.cell(row)}
                  </div>
                ))}
              </div>
            );
          })}
        </div>
      </div>
      {rows.length === 0 && empty}
      {isLoadingMore && (
        <div className={classes.more} role="status">
          <Loader size="xs" />
          <span className="hidden">Loading more</span>
        </div>
      )}
    </div>
  );
}

function isTyping(target: EventTarget): boolean {
  return target instanceof HTMLElement && target.matches('input:not([type="checkbox"]), textarea, select');
}

function isInteractive(target: EventTarget): boolean {
  return target instanceof Element && target.closest('a, button, input, label') !== null;
}

function hasTextSelected(): boolean {
  return (window.getSelection()?.toString() ?? '') !== '';
}
