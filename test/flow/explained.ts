import { Client, escapeLiteral } from 'pg';
import { type Executor, PLANNING } from '../../coordinator/store/db';

interface Node {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows'?: number;
  'Actual Loops'?: number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  'Rows Removed by Join Filter'?: number;
  'Shared Hit Blocks'?: number;
  'Shared Read Blocks'?: number;
  Plans?: Node[];
}

export const PLANNED = ['generic', 'custom', 'kept'] as const;
export type Planned = (typeof PLANNED)[number];

/** What a statement did to the table of jobs, or to those that are asked about. */
export interface Cost {
  /** Sequential scans of them. */
  seqScans: number;
  /** Rows that scans of them gave or threw away. */
  rows: number;
  buffers: number;
  /** Pairs of rows that joins compared in vain. */
  mismatches: number;
  indexes: string[];
}

/**
 * Runs statements of the store as a coordinator's connections do, under EXPLAIN ANALYZE, and takes back what they
 * changed.
 */
export class Explainer {
  private readonly kept = new Map<string, string>();

  private constructor(private readonly client: Client) {}

  static async connect(url: string): Promise<Explainer> {
    const client = new Client({ connectionString: url, options: PLANNING });
    await client.connect();
    return new Explainer(client);
  }

  /**
   * `generic`: one plan for all values, as hot statements have it; `kept`: the one that was made when this was asked
   * first, as hot statements have it too; else one that was made for these values.
   */
  async cost(
    run: (db: Executor) => Promise<unknown>,
    planned: Planned = 'custom',
    tables: readonly string[] = ['jobs'],
  ): Promise<Cost> {
    let plan: Node | undefined;
    const db: Executor = {
      query: async (statement) => {
        await this.client.query(`SET plan_cache_mode = force_${planned === 'custom' ? 'custom' : 'generic'}_plan`);
        const name = await this.prepare(statement.text, planned);
        const values = statement.values.length === 0 ? '' : `(${statement.values.map(literal).join(', ')})`;
        const { rows } = await this.client.query<{ 'QUERY PLAN': [{ Plan: Node }] }>(
          `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE ${name}${values}`,
        );
        if (planned !== 'kept') await this.client.query(`DEALLOCATE ${name}`);
        plan = rows[0]?.['QUERY PLAN'][0].Plan;
        return [];
      },
    };
    await this.client.query('BEGIN');
    try {
      await run(db);
    } finally {
      await this.client.query('ROLLBACK');
    }
    if (plan === undefined) throw new Error('nothing was explained');
    const scans = flat(plan).filter(
      (node) => tables.includes(node['Relation Name'] ?? '') && node['Node Type'].includes('Scan'),
    );
    const loops = (node: Node, rows: number | undefined): number => (rows ?? 0) * (node['Actual Loops'] ?? 1);
    return {
      seqScans: scans.filter((node) => node['Node Type'] === 'Seq Scan').length,
      rows: Math.round(
        scans.reduce(
          (sum, node) =>
            sum +
            loops(node, node['Actual Rows']) +
            loops(node, node['Rows Removed by Filter']) +
            loops(node, node['Rows Removed by Index Recheck']),
          0,
        ),
      ),
      mismatches: Math.round(
        flat(plan).reduce((sum, node) => sum + loops(node, node['Rows Removed by Join Filter']), 0),
      ),
      buffers: (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0),
      indexes: [...new Set(flat(plan).flatMap((node) => node['Index Name'] ?? []))].sort(),
    };
  }

  private async prepare(text: string, planned: Planned): Promise<string> {
    const known = planned === 'kept' ? this.kept.get(text) : 'explained';
    const name = known ?? `kept_${this.kept.size}`;
    if (known === undefined) this.kept.set(text, name);
    if (known === undefined || planned !== 'kept') await this.client.query(`PREPARE ${name} AS ${text}`);
    return name;
  }

  end(): Promise<void> {
    return this.client.end();
  }
}

/** A value as SQL text, for a statement whose parameters know their types. */
function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  if (Array.isArray(value))
    return escapeLiteral(
      `{${value.map((one) => (one === null || one === undefined ? 'NULL' : JSON.stringify(plain(one)))).join(',')}}`,
    );
  return escapeLiteral(plain(value));
}

function plain(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value);
}

function flat(node: Node): Node[] {
  return [node, ...(node.Plans ?? []).flatMap(flat)];
}
