import type { ReactNode } from 'react';
import classes from './table.module.css';

export interface TableColumn<Row> {
  key: string;
  header: ReactNode;
  cell: (row: Row) => ReactNode;
  isNumber?: boolean;
  /** Left out on phones. */
  isMinor?: boolean;
}

/** A table of what fits on a page; it scrolls sideways where it must. */
export function Table<Row>({
  label,
  rows,
  columns,
  keyOf,
  empty,
  isDimmed,
}: {
  label: string;
  rows: readonly Row[];
  columns: readonly TableColumn<Row>[];
  keyOf: (row: Row) => string;
  empty?: ReactNode;
  isDimmed?: (row: Row) => boolean;
}) {
  if (rows.length === 0) return <>{empty}</>;
  return (
    <div className={classes.frame} tabIndex={0} role="region" aria-label={label}>
      <table className={classes.table}>
        <thead>
          <tr>
            {columns.map(({ key, header, isNumber, isMinor }) => (
              <th key={key} scope="col" data-number={isNumber || undefined} data-minor={isMinor || undefined}>
                {header}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} data-dimmed={isDimmed?.(row) || undefined}>
              {columns.map(({ key, cell, isNumber, isMinor }) => (
                <td key={key} data-number={isNumber || undefined} data-minor={isMinor || undefined}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
