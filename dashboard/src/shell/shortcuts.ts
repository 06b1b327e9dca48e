import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { useRights } from '../api/session';
import { placesFor } from './navigation';
import { openPalette } from './palette';

/** How long after g the second key is waited for. */
const SEQUENCE_MS = 1200;

/**
 * `g` and a letter lead to a screen, `n` to a new job, `/` to the filter of a list; Ctrl K and `?` open the palette.
 */
export function useShortcuts(): void {
  const rights = useRights();
  const [, navigate] = useLocation();
  useEffect(() => {
    let hadG = -Infinity;
    const onKeyDown = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const isSecond = event.timeStamp - hadG < SEQUENCE_MS;
      hadG = -Infinity;
      const place = isSecond ? placesFor(rights).find(({ key }) => key === event.key) : undefined;
      if (place !== undefined) navigate(place.path);
      else if (event.key === 'g') {
        hadG = event.timeStamp;
        return;
      } else if (event.key === 'n' && rights.isClient) navigate('/jobs/new');
      else if (event.key === '?') openPalette();
      else if (event.key === '/') document.querySelector<HTMLElement>('[data-filter]')?.focus();
      else return;
      event.preventDefault();
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, [rights, navigate]);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.matches('input, textarea, select') ||
      target.isContentEditable ||
      target.closest('[role="dialog"]') !== null)
  );
}
