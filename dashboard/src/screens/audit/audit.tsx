import { Modal, Select, TextInput } from '@mantine/core';
import type { AuditAction, AuditEntry } from '@baton/runner-sdk/protocol';
import { useMemo, useState } from 'react';
import { useSearchParams } from 'wouter';
import { exactTime, visible } from '../../parts/format';
import { Json } from '../../parts/json';
import { Empty, Failure, Loading, Page } from '../../parts/page';
import { usePages } from '../../parts/pages';
import { Time } from '../../parts/time';
import { type Column, VirtualTable } from '../../parts/virtual-table';
import classes from './audit.module.css';

const COLUMNS: readonly Column<AuditEntry>[] = [
  { key: 'at', header: 'When', width: '6rem', cell: ({ at }) => <Time at={at} /> },
  { key: 'action', header: 'What', width: 'minmax(9rem, 1fr)', cell: ({ action }) => <strong>{action}</strong> },
  {
    key: 'target',
    header: 'To',
    width: 'minmax(6rem, 1.5fr)',
    cell: ({ target }) => <span className="mono">{target === null ? '' : visible(target)}</span>,
  },
  { key: 'by', header: 'By', width: 'minmax(6rem, 1fr)', cell: ({ by }) => visible(by.name) },
  { key: 'role', header: 'Role', width: '6rem', from: 700, cell: ({ by }) => by.role },
  {
    key: 'address',
    header: 'From',
    width: '9rem',
    from: 850,
    cell: ({ by }) => <span className="mono">{by.address}</span>,
  },
];

/** Typed so that an action that is new is missed here by the compiler. */
const ACTIONS: Record<AuditAction, true> = {
  'key.created': true,
  'key.rotated': true,
  'key.revoked': true,
  'session.opened': true,
  'session.closed': true,
  'session.link_created': true,
  'login.failed': true,
  'job.cancelled': true,
  'job.retried': true,
  'job.edited': true,
  'job.deleted': true,
  'jobs.cancelled': true,
  'jobs.retried': true,
  'jobs.prioritised': true,
  'jobs.deleted': true,
  'bulk.requested': true,
  'queue.set': true,
  'queue.paused': true,
  'queue.resumed': true,
  'runner.drained': true,
  'runner.resumed': true,
  'alert.created': true,
  'alert.edited': true,
  'alert.deleted': true,
  'alert.tested': true,
  'webhook.created': true,
  'webhook.edited': true,
  'webhook.deleted': true,
  'webhook.secret_rotated': true,
  'webhook.tested': true,
  'webhook.disabled': true,
  'delivery.resent': true,
  'callback_secret.rotated': true,
  'batch.cancelled': true,
  'bulk.cancelled': true,
  'workflow.cancelled': true,
  'workflow.retried': true,
  'gate.opened': true,
  'gate.refused': true,
  'gate.link_created': true,
  'schedule.created': true,
  'schedule.edited': true,
  'schedule.deleted': true,
  'schedule.paused': true,
  'schedule.resumed': true,
  'schedule.run': true,
  'schedule.backfilled': true,
};

export function Audit() {
  const [search, setSearch] = useSearchParams();
  const [shown, setShown] = useState<AuditEntry | null>(null);
  const action = search.get('action');
  const target = search.get('target');
  const query = useMemo(() => ({ action, target: target === '' ? null : target }), [action, target]);
  const entries = usePages<AuditEntry>(['audit'], query, 10_000);
  const set = (name: string, value: string | null): void =>
    setSearch(
      (before) => {
        if (value === null || value === '') before.delete(name);
        else before.set(name, value);
        return before;
      },
      { replace: true },
    );
  return (
    <Page title="Audit" note="Who did what by hand, newest first" isTall>
      <div className={classes.bar}>
        <Select
          size="xs"
          w={220}
          data={Object.keys(ACTIONS)}
          value={action}
          onChange={(value) => set('action', value)}
          placeholder="Every action"
          aria-label="Action"
          clearable
          searchable
        />
        <TextInput
          size="xs"
          w={280}
          value={target ?? ''}
          onChange={(event) => set('target', event.currentTarget.value)}
          placeholder="Id or name of what it was done to"
          aria-label="Done to"
          data-filter
        />
      </div>
      {entries.error !== null && <Failure error={entries.error} onRetry={() => void entries.refetch()} />}
      {entries.isPending && entries.error === null && <Loading />}
      {entries.data !== undefined && (
        <VirtualTable
          label="Audit entries"
          rows={entries.data}
          columns={COLUMNS}
          keyOf={({ id }) => id}
          onOpen={setShown}
          onEnd={entries.readMore}
          isLoadingMore={entries.isLoadingMore}
          empty={<Empty title="No entry matches." />}
        />
      )}
      <Modal opened={shown !== null} onClose={() => setShown(null)} title={shown?.action} size="lg">
        {shown !== null && (
          <>
            <p className={classes.quiet}>
              {exactTime(shown.at)}, by {visible(shown.by.name)} ({shown.by.role}) from {shown.by.address}, in the
              request <span className="mono">{visible(shown.requestId)}</span>
            </p>
            <Json value={{ target: shown.target, by: shown.by, details: shown.details }} label="entry" />
          </>
        )}
      </Modal>
    </Page>
  );
}
