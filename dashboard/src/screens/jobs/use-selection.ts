import { useCallback, useMemo, useRef, useState } from 'react';
import type { Selection } from '../../parts/virtual-table';

/** Which rows are selected, by their keys; with the shift key, all from the one before. */
export function useSelection<Row>(rows: readonly Row[], keyOf: (row: Row) => string) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const lastToggled = useRef<string | null>(null);
  const selected = useMemo(() => rows.filter((row) => chosen.has(keyOf(row))), [rows, chosen, keyOf]);

  const toggle = useCallback(
    (key: string, isRange: boolean) => {
      const from = rows.findIndex((row) => keyOf(row) === lastToggled.current);
      const to = rows.findIndex((row) => keyOf(row) === key);
      lastToggled.current = key;
      setChosen((before) => {
        const next = new Set(before);
        const isOn = !before.has(key);
        const range = isRange && from >= 0 ? rows.slice(Math.min(from, to), Math.max(from, to) + 1).map(keyOf) : [key];
        for (const each of range) {
          if (isOn) next.add(each);
          else next.delete(each);
        }
        return next;
      });
    },
    [rows, keyOf],
  );
  const clear = useCallback(() => setChosen(new Set()), []);
  const selection: Selection = {
    isSelected: (key) => chosen.has(key),
    toggle,
    toggleAll: () => setChosen(selected.length === rows.length ? new Set() : new Set(rows.map(keyOf))),
    state: selected.length === 0 ? 'none' : selected.length === rows.length ? 'all' : 'some',
  };
  return { selection, selected, clear };
}
