import { Checkbox, Loader } from '@mantine/core';
import { useVirtualizer } from '@tanstack/react-virtual';
import {
  type KeyboardEvent,
  memo,
  type ReactNode,
  useCallback,
  useDeferredValue,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from 'react';
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
  const { label, keyOf, onOpen, selection, onEnd, isLoadingMore = false, empty, onTop } = props;
  // A burst replaces all rows at once; they are built bit by bit, and a click or a key comes between.
  const rows = useDeferredValue(props.rows);
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
  const columns = useMemo(
    () => props.columns.filter(({ from = 0 }) => width === 0 || width >= from),
    [props.columns, width],
  );
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

  // The rows keep what they were given, so that they are not built anew when only the callers' functions are.
  const latest = useRef({ onOpen, selection });
  useLayoutEffect(() => {
    latest.current = { onOpen, selection };
  });
  const pick = useCallback((index: number, row: Row) => {
    setActive(index);
    latest.current.onOpen?.(row);
  }, []);
  const toggle = useCallback((key: string, isRange: boolean) => latest.current.selection?.toggle(key, isRange), []);

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
            return (
              <Entry
                key={item.key}
                row={row}
                rowKey={key}
                index={item.index}
                columns={columns}
                template={template}
                height={rowHeight}
                top={item.start}
                isActive={item.index === active}
                isSelected={selection?.isSelected(key) ?? null}
                opens={onOpen !== undefined}
                onPick={pick}
                onToggle={toggle}
              />
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

interface EntryProps<Row> {
  row: Row;
  rowKey: string;
  index: number;
  columns: readonly Column<Row>[];
  template: string;
  height: number;
  top: number;
  isActive: boolean;
  /** Null: rows cannot be selected. */
  isSelected: boolean | null;
  opens: boolean;
  onPick: (index: number, row: Row) => void;
  onToggle: (key: string, isRange: boolean) => void;
}

/** One row, built anew only when something of it changed. Its checkbox is the browser's, which costs nearly nothing. */
function EntryOf<Row>({
  row,
  rowKey,
  index,
  columns,
  isActive,
  isSelected,
  opens,
  onPick,
  onToggle,
  ...box
}: EntryProps<Row>) {
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className={`${classes.row} ${classes.entry}`}
      data-active={isActive || undefined}
      data-selected={isSelected === true || undefined}
      data-opens={opens || undefined}
      style={{ gridTemplateColumns: box.template, height: box.height, transform: `translateY(${box.top}px)` }}
      onClick={(event) => {
        if (!isInteractive(event.target) && !hasTextSelected()) onPick(index, row);
      }}
    >
      {isSelected !== null && (
        <div role="cell" className={classes.pick}>
          <input
            type="checkbox"
            aria-label={`Select ${rowKey}`}
            checked={isSelected}
            // The change event does not tell of the shift key; the click does.
            onChange={() => undefined}
            onClick={(event) => onToggle(rowKey, event.shiftKey)}
          />
        </div>
      )}
      {columns.map((column) => (
        <div key={column.key} role="cell" className={column.isNumber === true ? `${classes.right} number cut` : 'cut'}>
          {column.cell(row)}
        </div>
      ))}
    </div>
  );
}

const Entry = memo(EntryOf) as typeof EntryOf;

function isTyping(target: EventTarget): boolean {
  return target instanceof HTMLElement && target.matches('input:not([type="checkbox"]), textarea, select');
}

function isInteractive(target: EventTarget): boolean {
  return target instanceof Element && target.closest('a, button, input, label') !== null;
}

function hasTextSelected(): boolean {
  return (window.getSelection()?.toString() ?? '') !== '';
}
