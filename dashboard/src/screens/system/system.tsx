import { useQuery } from '@tanstack/react-query';
import type { Health, SystemReport } from '@baton/runner-sdk/protocol';
import { get } from '../../api/call';
import { useHealth } from '../../api/reads';
import { useRights } from '../../api/session';
import { count, duration, visible } from '../../parts/format';
import { Card, Found, Page } from '../../parts/page';
import { Word } from '../../parts/status';
import { Table, type TableColumn } from '../../parts/table';
import { Time } from '../../parts/time';
import { apiUrl } from '../../place';
import classes from './system.module.css';

type Coordinator = SystemReport['coordinators'][number];
type Setting = SystemReport['settings'][number];
type Migration = SystemReport['migrations'][number];

/** Settings and versions. */
export function System() {
  const { isAdmin } = useRights();
  const health = useHealth();
  return (
    <Page
      title="System"
      note={
        <a href={`${apiUrl}docs`} className={classes.link}>
          API reference
        </a>
      }
    >
      <div className={classes.stack}>
        <Found query={health}>{(found) => <HealthCard health={found} />}</Found>
        {isAdmin && <Installation />}
      </div>
    </Page>
  );
}

function HealthCard({ health }: { health: Health }) {
  const { status, version, uptimeMs, database, monitor, processed, averageRunMs } = health;
  return (
    <Card title="The coordinator that answered">
      <dl className={classes.facts}>
        <dt>State</dt>
        <dd>{status === 'ok' ? <Word tone="good">ok</Word> : <Word tone="bad">degraded</Word>}</dd>
        <dt>Version</dt>
        <dd>{version}</dd>
        <dt>Running for</dt>
        <dd>{duration(uptimeMs)}</dd>
        <dt>Timeout monitor</dt>
        <dd>
          {monitor.lagMs === null ? 'has not finished a round yet' : `finished a round ${duration(monitor.lagMs)} ago`}
        </dd>
        <dt>PostgreSQL</dt>
        <dd>
          {database.version}, a round trip of {duration(database.latencyMs)}
        </dd>
        <dt>Processed</dt>
        <dd>{count(processed)} jobs in 90 days</dd>
        <dt>Run time</dt>
        <dd>{duration(averageRunMs)} on average within the hour</dd>
      </dl>
    </Card>
  );
}

function Installation() {
  const system = useQuery({
    queryKey: ['system'],
    queryFn: ({ signal }) => get<SystemReport>(['system'], {}, signal),
    refetchInterval: 10_000,
  });
  return (
    <Found query={system}>
      {({ coordinators, migrations, settings }) => (
        <>
          <Card title="Coordinators">
            <Table
              label="Connected coordinators"
              rows={coordinators}
              columns={COORDINATORS}
              keyOf={({ host, address, connectedAt }) => `${host} ${address} ${connectedAt}`}
            />
          </Card>
          <Card title="Settings in force">
            <Table label="Values of settings" rows={settings} columns={SETTINGS} keyOf={({ name }) => name} />
          </Card>
          <Card title="Migrations">
            <Table label="Applied migrations" rows={migrations} columns={MIGRATIONS} keyOf={({ name }) => name} />
          </Card>
        </>
      )}
    </Found>
  );
}

const COORDINATORS: readonly TableColumn<Coordinator>[] = [
  { key: 'host', header: 'Host', cell: ({ host }) => visible(host ?? '') },
  { key: 'version', header: 'Version', cell: ({ version }) => visible(version ?? '') },
  {
    key: 'address',
    header: 'Address',
    cell: ({ address }) => <span className="mono">{address ?? 'this machine'}</span>,
  },
  { key: 'since', header: 'Connected', isNumber: true, cell: ({ connectedAt }) => <Time at={connectedAt} /> },
];

const SETTINGS: readonly TableColumn<Setting>[] = [
  { key: 'name', header: 'Name', cell: ({ name }) => <code>{name}</code> },
  {
    key: 'value',
    header: 'Value',
    cell: ({ value, isSecret }) =>
      isSecret ? <span className={classes.quiet}>not shown</span> : <code>{visible(value ?? '')}</code>,
  },
  {
    key: 'set',
    header: 'From',
    cell: ({ isSet }) => (isSet ? <Word tone="busy">set</Word> : <span className={classes.quiet}>default</span>),
  },
];

const MIGRATIONS: readonly TableColumn<Migration>[] = [
  { key: 'name', header: 'Name', cell: ({ name }) => <code>{name}</code> },
  { key: 'at', header: 'Applied', isNumber: true, cell: ({ appliedAt }) => <Time at={appliedAt} /> },
];
