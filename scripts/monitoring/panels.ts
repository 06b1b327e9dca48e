/** One curve, or several that differ in a label. */
export interface Curve {
  expr: string;
  /** Grafana's template, such as `{{queue}}`. */
  legend: string;
}

export interface Panel {
  title: string;
  /** A unit of Grafana. */
  unit: 'short' | 's' | 'ops' | 'percentunit' | 'bytes' | 'reqps';
  curves: Curve[];
  about?: string;
}

export interface Row {
  /** A section of docs/operating.md. */
  page: string;
  panels: Panel[];
}

export interface Dashboard {
  file: string;
  title: string;
  about: string;
  /** Variables that are chosen above the panels, and the metric whose label gives their values. */
  variables: { name: string; metric: string; label: string }[];
  rows: Row[];
}

function curve(expr: string, legend: string): Curve {
  return { expr, legend };
}

/** The quantiles of a histogram of the coordinators. */
function quantiles(metric: string, by: string, selector = ''): Curve[] {
  return [0.5, 0.99].map((quantile) =>
    curve(
      `histogram_quantile(${quantile}, sum by (le, ${by}) (rate(${metric}_bucket${selector}[$__rate_interval])))`,
      `{{${by}}} p${quantile * 100}`,
    ),
  );
}

const CALLS = 'baton_http_request_seconds_count';

export const DASHBOARDS: Dashboard[] = [
  {
    file: 'overview',
    title: 'Baton: overview',
    about: 'Whether jobs are created, taken and done, and whether anything needs attention.',
    variables: [],
    rows: [
      {
        page: 'What to watch',
        panels: [
          { title: 'Jobs', unit: 'short', curves: [curve('max by (status) (baton_jobs)', '{{status}}')] },
          {
            title: 'Events of jobs',
            unit: 'ops',
            curves: [curve('sum by (event) (rate(baton_job_events_total[$__rate_interval]))', '{{event}}')],
          },
          { title: 'Runners', unit: 'short', curves: [curve('max by (state) (baton_runners)', '{{state}}')] },
          {
            title: 'Oldest due job',
            unit: 's',
            curves: [curve('max by (queue) (baton_queue_oldest_age_seconds)', '{{queue}}')],
          },
          {
            title: 'Share of jobs that failed for good',
            unit: 'percentunit',
            curves: [curve('baton:jobs:failed_ratio', '{{queue}}')],
          },
          {
            title: 'Last round of the timeout monitor',
            unit: 's',
            curves: [curve('baton_monitor_lag_seconds', '{{instance}}')],
          },
          {
            title: 'Unfinished workflows, batches and gates',
            unit: 'short',
            curves: [curve('max by (what) (baton_unfinished)', '{{what}}')],
          },
          {
            title: 'Schedules',
            unit: 'short',
            curves: [
              curve('max by (status) (baton_schedules)', '{{status}}'),
              curve('max(baton_schedule_overdue_seconds)', 'seconds overdue'),
            ],
          },
          {
            title: 'Ticks of schedules',
            unit: 'ops',
            curves: [curve('sum by (outcome) (rate(baton_schedule_ticks_total[$__rate_interval]))', '{{outcome}}')],
          },
          {
            title: 'How late ticks fired',
            unit: 's',
            curves: [
              curve(
                'histogram_quantile(0.99, sum by (le) (rate(baton_schedule_late_seconds_bucket[$__rate_interval])))',
                'p99',
              ),
            ],
          },
        ],
      },
    ],
  },
  {
    file: 'queues',
    title: 'Baton: queues',
    about: 'Depth, age, speed and outcome of each queue.',
    variables: [{ name: 'queue', metric: 'baton_queue_waiting', label: 'queue' }],
    rows: [
      {
        page: 'What to watch',
        panels: [
          {
            title: 'Waiting',
            unit: 'short',
            curves: [curve('max by (queue) (baton_queue_waiting{queue=~"$queue"})', '{{queue}}')],
          },
          {
            title: 'Running',
            unit: 'short',
            curves: [curve('max by (queue) (baton_queue_running{queue=~"$queue"})', '{{queue}}')],
          },
          {
            title: 'Runners wanted',
            unit: 'short',
            about: 'How many it takes to start what waits within ten seconds.',
            curves: [curve('max by (queue) (baton_queue_wanted_runners{queue=~"$queue"})', '{{queue}}')],
          },
          {
            title: 'From due to claimed',
            unit: 's',
            curves: quantiles('baton_job_wait_seconds', 'queue', '{queue=~"$queue"}'),
          },
          {
            title: 'Created and ended',
            unit: 'ops',
            curves: [
              curve(
                'sum by (queue, event) (rate(baton_job_events_total{queue=~"$queue",event=~"created|completed|failed|retrying|cancelled"}[$__rate_interval]))',
                '{{queue}} {{event}}',
              ),
            ],
          },
          { title: 'How long attempts ran', unit: 's', curves: quantiles('baton_job_run_seconds', 'type') },
        ],
      },
    ],
  },
  {
    file: 'coordinators',
    title: 'Baton: coordinators',
    about: 'The processes, and the calls that they answer.',
    variables: [{ name: 'instance', metric: 'baton_build_info', label: 'instance' }],
    rows: [
      {
        page: 'Several coordinators',
        panels: [
          { title: 'Answering', unit: 'short', curves: [curve('up{job="baton"}', '{{instance}}')] },
          {
            title: 'Processor',
            unit: 'percentunit',
            about: 'One coordinator uses one core.',
            curves: [
              curve(
                'rate(process_cpu_seconds_total{job="baton",instance=~"$instance"}[$__rate_interval])',
                '{{instance}}',
              ),
            ],
          },
          {
            title: 'Memory',
            unit: 'bytes',
            curves: [
              curve('process_resident_memory_bytes{job="baton",instance=~"$instance"}', '{{instance}}'),
              curve('nodejs_heap_size_used_bytes{job="baton",instance=~"$instance"}', '{{instance}} heap'),
            ],
          },
          {
            title: 'Event loop, p99',
            unit: 's',
            curves: [curve('nodejs_eventloop_lag_p99_seconds{job="baton",instance=~"$instance"}', '{{instance}}')],
          },
          {
            title: 'Calls',
            unit: 'reqps',
            curves: [curve(`sum by (route) (rate(${CALLS}{instance=~"$instance"}[$__rate_interval]))`, '{{route}}')],
          },
          {
            title: 'Time to answer',
            unit: 's',
            about: 'Claims and waits are left out, because they wait on purpose.',
            curves: quantiles(
              'baton_http_request_seconds',
              'route',
              '{instance=~"$instance",route!~"/jobs/claim|.*/wait|/events"}',
            ),
          },
          {
            title: 'Calls by status',
            unit: 'reqps',
            curves: [curve(`sum by (status) (rate(${CALLS}{instance=~"$instance"}[$__rate_interval]))`, '{{status}}')],
          },
          {
            title: 'Listeners to events',
            unit: 'short',
            curves: [curve('baton_event_listeners{instance=~"$instance"}', '{{instance}}')],
          },
        ],
      },
      {
        page: 'Migrations and upgrades',
        panels: [
          {
            title: 'Coordinators by version',
            unit: 'short',
            curves: [curve('count by (version, node) (baton_build_info)', '{{version}}, Node {{node}}')],
          },
        ],
      },
      {
        page: 'Stopping',
        panels: [
          {
            title: 'Since the start',
            unit: 's',
            curves: [curve('time() - process_start_time_seconds{job="baton",instance=~"$instance"}', '{{instance}}')],
          },
          {
            title: 'Starts within an hour',
            unit: 'short',
            curves: [
              curve('changes(process_start_time_seconds{job="baton",instance=~"$instance"}[1h])', '{{instance}}'),
            ],
          },
        ],
      },
      {
        page: 'Keys',
        panels: [
          {
            title: 'Calls without a valid key, or without the right',
            unit: 'reqps',
            curves: [curve(`sum by (status) (rate(${CALLS}{status=~"401|403"}[$__rate_interval]))`, '{{status}}')],
          },
        ],
      },
      {
        page: 'Limits for users',
        panels: [
          {
            title: 'Calls over a limit',
            unit: 'reqps',
            curves: [curve(`sum by (route) (rate(${CALLS}{status="429"}[$__rate_interval]))`, '{{route}}')],
          },
        ],
      },
      {
        page: 'Browsers',
        panels: [
          {
            title: 'Sessions opened, used and closed',
            unit: 'reqps',
            curves: [
              curve(
                `sum by (method, status) (rate(${CALLS}{route=~"/session.*"}[$__rate_interval]))`,
                '{{method}} {{status}}',
              ),
            ],
          },
        ],
      },
      {
        page: 'The audit',
        panels: [
          {
            title: 'Changes by administrators',
            unit: 'reqps',
            curves: [
              curve(
                `sum by (method, route) (rate(${CALLS}{method!="get",route=~"/(api-keys|queues|alerts|webhooks|runners)(/.*)?"}[$__rate_interval]))`,
                '{{method}} {{route}}',
              ),
            ],
          },
        ],
      },
    ],
  },
  {
    file: 'postgres',
    title: 'Baton: PostgreSQL',
    about: 'The database, by postgres_exporter with postgres-queries.yml, and as the coordinators see it.',
    variables: [],
    rows: [
      {
        page: 'PostgreSQL',
        panels: [
          {
            title: 'Connections of coordinators',
            unit: 'short',
            curves: [curve('sum by (pool, state) (baton_pool_connections)', '{{pool}} {{state}}')],
          },
          {
            title: 'Connections of PostgreSQL',
            unit: 'short',
            curves: [
              curve('baton_postgres_activity_connections', '{{program}}'),
              curve('baton_postgres_server_connections', 'all databases'),
              curve('baton_postgres_server_max_connections', 'most'),
            ],
          },
          {
            title: 'Oldest transaction',
            unit: 's',
            curves: [curve('baton_postgres_activity_oldest_transaction_seconds', '{{program}}')],
          },
          {
            title: 'Standby, synchronous standbys',
            unit: 'short',
            curves: [
              curve('baton_postgres_server_is_standby', '{{instance}} is a standby'),
              curve('baton_postgres_server_synchronous_standbys', 'synchronous standbys'),
            ],
          },
        ],
      },
      {
        page: 'Keeping the table small',
        panels: [
          { title: 'Size of tables', unit: 'bytes', curves: [curve('baton_postgres_tables_bytes', '{{table}}')] },
          {
            title: 'Rows',
            unit: 'short',
            curves: [
              curve('baton_postgres_tables_live_rows{table=~"jobs|attempts|log_lines"}', '{{table}}'),
              curve('baton_postgres_tables_dead_rows{table=~"jobs|attempts|log_lines"}', '{{table}} dead'),
            ],
          },
          {
            title: 'Size of the database',
            unit: 'bytes',
            curves: [curve('baton_postgres_server_database_bytes', '{{instance}}')],
          },
        ],
      },
      {
        page: 'Backups',
        panels: [
          {
            title: 'WAL files that could not be archived',
            unit: 'short',
            curves: [curve('increase(baton_postgres_server_archive_failures[1h])', '{{instance}}')],
          },
          {
            title: 'WAL kept by replication slots',
            unit: 'bytes',
            curves: [curve('baton_postgres_server_slot_lag_bytes', '{{instance}}')],
          },
        ],
      },
    ],
  },
  {
    file: 'runners',
    title: 'Baton: runners',
    about: 'Ready-made runners, by their RUNNER_HEALTH_PORT.',
    variables: [{ name: 'runner', metric: 'baton_runner_jobs_running', label: 'runner' }],
    rows: [
      {
        page: 'What to watch',
        panels: [
          { title: 'Answering', unit: 'short', curves: [curve('up{job="baton-runners"}', '{{instance}}')] },
          {
            title: 'Jobs that run',
            unit: 'short',
            curves: [
              curve('sum by (runner, type) (baton_runner_jobs_running{runner=~"$runner"})', '{{runner}} {{type}}'),
            ],
          },
          {
            title: 'Jobs that ended',
            unit: 'ops',
            curves: [
              curve(
                'sum by (runner, outcome) (rate(baton_runner_jobs_total{runner=~"$runner"}[$__rate_interval]))',
                '{{runner}} {{outcome}}',
              ),
            ],
          },
          {
            title: 'How long handlers took',
            unit: 's',
            curves: quantiles('baton_runner_job_seconds', 'type', '{runner=~"$runner"}'),
          },
          {
            title: 'Processor',
            unit: 'percentunit',
            curves: [
              curve(
                'rate(process_cpu_seconds_total{job="baton-runners"}[$__rate_interval])',
                '{{runner}} {{instance}}',
              ),
            ],
          },
          {
            title: 'Memory',
            unit: 'bytes',
            curves: [curve('process_resident_memory_bytes{job="baton-runners"}', '{{runner}} {{instance}}')],
          },
        ],
      },
    ],
  },
];
