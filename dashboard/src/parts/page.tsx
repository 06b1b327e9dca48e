import { Alert, Button, Group, Loader, Text, Title } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';
import { ApiError, messageOf } from '../api/problem';
import classes from './page.module.css';

/** A screen: its title, what can be done on it, and what it shows. */
export function Page({
  title,
  note,
  actions,
  isTall = false,
  heading,
  children,
}: {
  title: string;
  /** What stands beside the title, quietly. */
  note?: ReactNode;
  actions?: ReactNode;
  /** Fills the window, and scrolls inside. */
  isTall?: boolean;
  /** Shown instead of the title. */
  heading?: ReactNode;
  children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Baton`;
  }, [title]);
  return (
    <div className={isTall ? 'page tall' : 'page'}>
      <div className={classes.head}>
        <div className={classes.title}>
          <Title order={1} className="cut" title={title}>
            {heading ?? title}
          </Title>
          {note !== undefined && (
            <Text c="dimmed" size="sm" component="div">
              {note}
            </Text>
          )}
        </div>
        {actions !== undefined && <Group gap="xs">{actions}</Group>}
      </div>
      {children}
    </div>
  );
}

export function Card({
  title,
  actions,
  children,
  className,
}: {
  title?: string | undefined;
  actions?: ReactNode;
  children: ReactNode;
  className?: string | undefined;
}) {
  return (
    <section className={`card ${className ?? ''}`} aria-label={title}>
      {title !== undefined && (
        <div className={classes.cardHead}>
          <Title order={2} size="h4">
            {title}
          </Title>
          {actions}
        </div>
      )}
      {children}
    </section>
  );
}

export function Failure({ error, onRetry }: { error: unknown; onRetry?: (() => void) | undefined }) {
  const requestId = error instanceof ApiError ? error.requestId : null;
  return (
    <Alert color="red" variant="outline" title="This could not be read" role="alert">
      <Text size="sm">{messageOf(error)}</Text>
      {requestId !== null && (
        <Text size="xs" c="dimmed" mt={4}>
          Request {requestId}
        </Text>
      )}
      {onRetry !== undefined && (
        <Button size="xs" variant="default" mt="sm" onClick={onRetry}>
          Try again
        </Button>
      )}
    </Alert>
  );
}

export function Loading() {
  return (
    <div className={classes.loading} role="status">
      <Loader size="sm" />
      <span className="hidden">Loading</span>
    </div>
  );
}

/** Of nothing to show: why, and what would change that. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={classes.empty}>
      <Text fw={600}>{title}</Text>
      {children !== undefined && (
        <Text c="dimmed" size="sm" component="div" maw={640}>
          {children}
        </Text>
      )}
    </div>
  );
}

/** Shows what a query found, or how it stands with it. */
export function Found<T>({
  query,
  children,
}: {
  query: { data: T | undefined; error: unknown; isPending: boolean; refetch: () => unknown };
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.isPending && query.error === null) return <Loading />;
  return <Failure error={query.error} onRetry={() => void query.refetch()} />;
}
