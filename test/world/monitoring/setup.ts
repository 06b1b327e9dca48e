import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { DebianProgram } from '../../../scripts/debian';
import { ADMIN_KEY, ROOT } from '../../e2e/support/processes';
import { freePort } from '../support/port';
import { Service } from '../support/service';

export const MONITORING = join(ROOT, 'deploy', 'monitoring');

export interface Rule {
  alert?: string;
  record?: string;
  expr: string;
  annotations?: { page: string; summary: string; description: string };
}

export interface Sample {
  metric: Record<string, string>;
  value: [number, string];
}

/** Every rule of deploy/monitoring/rules.yml. */
export function readRules(): Rule[] {
  const { groups } = parse(readFileSync(join(MONITORING, 'rules.yml'), 'utf8')) as { groups: { rules: Rule[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

/** A Prometheus with the project's own settings, which scrapes these ports once a second. */
export class Prometheus {
  private constructor(
    readonly url: string,
    private readonly service: Service,
    private readonly folder: string,
  ) {}

  static async start(program: DebianProgram, ports: Record<string, number>): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'baton-prometheus-'));
    const settings = parse(readFileSync(join(MONITORING, 'prometheus.yml'), 'utf8')) as {
      global: object;
      rule_files: string[];
      scrape_configs: { job_name: string; authorization?: object }[];
    };
    writeFileSync(join(folder, 'key'), ADMIN_KEY);
    settings.global = { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' };
    settings.rule_files = [join(MONITORING, 'rules.yml')];
    settings.scrape_configs = settings.scrape_configs.map(({ job_name: job, authorization }) => ({
      job_name: job,
      ...(authorization === undefined ? {} : { authorization: { credentials_file: join(folder, 'key') } }),
      static_configs: [{ targets: [`127.0.0.1:${ports[job]}`] }],
    }));
    writeFileSync(join(folder, 'prometheus.yml'), stringify(settings));
    const port = await freePort();
    const service = await new Service(program, [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]).listens(port);
    return new Prometheus(`http://127.0.0.1:${port}`, service, folder);
  }

  /**
   * What an expression gives now.
   * @throws {Error} with the reason for which it is not valid
   */
  async query(expr: string): Promise<Sample[]> {
    const answer = await fetch(`${this.url}/api/v1/query`, {
      method: 'POST',
      body: new URLSearchParams({ query: expr }),
    });
    const { status, error, data } = (await answer.json()) as {
      status: string;
      error?: string;
      data?: { result: Sample[] };
    };
    // One that is not ready yet answers in plain words, which are no JSON.
    if (status !== 'success') throw new Error(`${expr}: ${error}`);
    return data?.result ?? [];
  }

  async stop(): Promise<void> {
    await this.service.stop();
    rmSync(this.folder, { recursive: true });
  }
}
