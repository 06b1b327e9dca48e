import type { Context } from '../../context';
import { BatonError } from '../../errors';
import type { ClaimedRow } from '../../store/jobs';
import * as views from '../../store/views/dependencies';
import { leaseLost } from './stale-report';

/**
 * Most bytes of parents' results in an answer, per job and in all. Larger results are read one by one, under the lease.
 */
export const INLINE_BYTES = { ofEach: 262_144, inAll: 8_388_608 };

/** Adds to claimed jobs with parents how these have ended. Other jobs cost no statement. */
export async function withDependencies(context: Context, rows: ClaimedRow[]): Promise<ClaimedRow[]> {
  const children = rows.filter(hasParents);
  if (children.length === 0) return rows;
  const found = await views.dependencies(
    context.db.hot,
    children.map(({ id }) => id),
    INLINE_BYTES,
  );
  const byJob = new Map(children.map(({ id }): [string, views.DependencyRow[]] => [id, []]));
  for (const row of found) byJob.get(row.jobId)?.push(row);
  for (const child of children) child.dependencies = textOf(byJob.get(child.id) ?? []);
  return rows;
}

/**
 * How a parent ended, as JSON text, for the runner that holds the child's lease.
 * @throws {BatonError} `not_found`, `lease_lost`
 */
export async function readDependency(
  context: Context,
  wanted: { jobId: string; leaseToken: string; parentId: string },
): Promise<string> {
  const found = await views.dependency(context.db.hot, wanted);
  if (found === null) throw new BatonError('not_found', 'There is no such job.');
  if (!found.isHeld) throw leaseLost();
  if (found.status === null)
    throw new BatonError('not_found', `The job ${wanted.jobId} did not wait for ${wanted.parentId}.`);
  return `{"id":"${wanted.parentId}","status":"${found.status}","result":${found.result ?? 'null'}}`;
}

/** Jobs without parents have null in the table. */
function hasParents({ dependsOn }: { dependsOn: string[] | null }): boolean {
  return dependsOn !== null;
}

/** As JSON text, with results copied as they are stored. */
function textOf(rows: views.DependencyRow[]): string {
  const members = rows.map(({ jobId, parentId, key, status, result, isTooLarge }) => {
    const value = isTooLarge
      ? `"resultUrl":"/jobs/${jobId}/dependencies/${parentId}/result"`
      : `"result":${result ?? 'null'}`;
    return `${JSON.stringify(key ?? parentId)}:{"id":"${parentId}","status":"${status}",${value}}`;
  });
  return `{${members.join(',')}}`;
}
