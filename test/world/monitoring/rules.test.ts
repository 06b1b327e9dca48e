import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findDebian } from '../../../scripts/debian';
import { DASHBOARDS } from '../../../scripts/monitoring/panels';
import { ROOT } from '../../e2e/support/processes';
import { describeWith } from '../support/needs';
import { MONITORING, readRules } from './setup';

const run = promisify(execFile);

/** Sections of docs/operating.md of which there is nothing to measure. */
const NOT_MEASURED: Record<string, string> = {
  'The embedded database': 'for laptops and small machines; the coordinator restarts it by itself',
  TLS: 'a certificate is best watched from outside, by the probes that watch the others',
  'JSON Web Tokens': 'refused tokens are counted with refused keys',
};

describeWith('rules', { promtool: findDebian('prometheus', 'promtool') }, ({ promtool }) => {
  it('are valid, and so are the settings of Prometheus', async () => {
    const { stdout } = await run(promtool.path, ['check', 'rules', 'rules.yml'], { cwd: MONITORING });
    expect(stdout).toContain('SUCCESS');
    // The key is a secret that is mounted where it runs.
    const { stdout: checked } = await run(promtool.path, ['check', 'config', '--syntax-only', 'prometheus.yml'], {
      cwd: MONITORING,
    });
    expect(checked).toContain('SUCCESS');
  });

  it('fire when they should, and rest when they should', async () => {
    const { stdout, stderr } = await run(promtool.path, ['test', 'rules', 'rules.test.yml'], { cwd: MONITORING });
    expect(stdout + stderr).toContain('SUCCESS');
    const tested = readFileSync(join(MONITORING, 'rules.test.yml'), 'utf8');
    for (const { alert } of readRules()) if (alert !== undefined) expect(tested).toContain(`alertname: ${alert}\n`);
  });
});

it('every section of the operating page has a rule or a panel, and each of these names a section', () => {
  const page = readFileSync(join(ROOT, 'docs', 'operating.md'), 'utf8');
  const sections = new Set([...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title ?? ''));
  const watched = new Set([
    ...readRules().flatMap(({ annotations }) => (annotations === undefined ? [] : [annotations.page])),
    ...DASHBOARDS.flatMap(({ rows }) => rows.map((row) => row.page)),
  ]);
  expect([...watched].filter((title) => !sections.has(title))).toEqual([]);
  expect([...sections].filter((title) => !watched.has(title)).sort()).toEqual(Object.keys(NOT_MEASURED).sort());
});
