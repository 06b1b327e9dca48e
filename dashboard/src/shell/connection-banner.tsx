import { Button } from '@mantine/core';
import { useEffect, useState } from 'react';
import { feed } from '../live/feed';
import { useConnectionStatus } from '../live/use-live';
import { useNow } from '../parts/time';
import classes from './connection-banner.module.css';

/** A connection that is back at once was not worth a word. */
const PATIENCE_MS = 1500;

export function ConnectionBanner() {
  const { state, retryAt } = useConnectionStatus();
  const [isLate, setLate] = useState(false);
  const isLost = state === 'lost';
  useEffect(() => {
    if (!isLost) return setLate(false);
    const timer = window.setTimeout(() => setLate(true), PATIENCE_MS);
    return () => window.clearTimeout(timer);
  }, [isLost]);
  if (!isLost || !isLate) return null;
  return (
    <div className={classes.banner} role="alert">
      <span>
        The connection to the coordinator is lost; what you see may be old. <NextAttempt at={retryAt} />
      </span>
      <Button size="compact-xs" variant="default" onClick={() => feed.retryNow()}>
        Try now
      </Button>
    </div>
  );
}

function NextAttempt({ at }: { at: number | null }) {
  const now = useNow();
  const seconds = at === null ? 0 : Math.ceil((at - now) / 1000);
  return seconds > 0 ? `Trying again in ${seconds} s.` : 'Trying again.';
}
