import { type Dashboard, DASHBOARDS, type Panel, type Row } from './panels';

const FOLDER = 'deploy/monitoring/dashboards';
/** Grafana's grid has 24 columns. */
const COLUMNS = 24;
const PANEL = { w: 8, h: 8 };
// eslint-disable-next-line no-template-curly-in-string
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' } as const;
/** Of Grafana 10, which later versions migrate from. */
const SCHEMA_VERSION = 39;

/** Path and text of each dashboard. */
export function renderDashboards(): [string, string][] {
  return DASHBOARDS.map((dashboard) => [
    `${FOLDER}/${dashboard.file}.json`,
    `${JSON.stringify(render(dashboard), null, 2)}\n`,
  ]);
}

function render({ file, title, about, variables, rows }: Dashboard): object {
  return {
    uid: `baton-${file}`,
    title,
    description: about,
    tags: ['baton'],
    schemaVersion: SCHEMA_VERSION,
    editable: true,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    links: [
      { type: 'dashboards', title: 'Baton', tags: ['baton'], asDropdown: true, includeVars: false, keepTime: true },
    ],
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus' },
        ...variables.map(({ name, metric, label }) => ({
          name,
          type: 'query',
          datasource: DATASOURCE,
          query: { query: `label_values(${metric}, ${label})`, refId: name },
          refresh: 2,
          multi: true,
          includeAll: true,
          allValue: '.*',
          current: { text: 'All', value: '$__all' },
        })),
      ],
    },
    panels: placed(rows),
  };
}

/** Rows below each other, the panels of each from left to right. */
function placed(rows: Row[]): object[] {
  const placedPanels: object[] = [];
  let y = 0;
  for (const { page, panels } of rows) {
    placedPanels.push({
      id: placedPanels.length + 1,
      type: 'row',
      title: page,
      collapsed: false,
      gridPos: { x: 0, y, w: COLUMNS, h: 1 },
      panels: [],
    });
    y += 1;
    panels.forEach((panel, nth) => {
      const x = (nth * PANEL.w) % COLUMNS;
      placedPanels.push(series(panel, placedPanels.length + 1, { ...PANEL, x, y }));
      if (x + PANEL.w === COLUMNS || nth === panels.length - 1) y += PANEL.h;
    });
  }
  return placedPanels;
}

function series({ title, unit, curves, about }: Panel, id: number, gridPos: object): object {
  return {
    id,
    type: 'timeseries',
    title,
    ...(about === undefined ? {} : { description: about }),
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: { defaults: { unit, min: 0, custom: { fillOpacity: 10, showPoints: 'never' } }, overrides: [] },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
    targets: curves.map(({ expr, legend }, nth) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + nth),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
    })),
  };
}
