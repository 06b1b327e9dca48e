import type { NewJob } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../../errors';
import type { Executor } from '../../../store/db';
import * as store from '../../../store/jobs';
import * as views from '../../../store/views/dependencies';
import type { Edge } from '../../../store/workflows/edges';
import { visibleUser } from '../../auth/caller';
import { covers } from '../../auth/scope';
import { findFresh, type JobCandidate } from './job-candidate';

export function hasParents({ dependsOn }: Pick<NewJob, 'dependsOn'>): boolean {
  return dependsOn !== undefined && dependsOn.length > 0;
}

/**
 * Locks and reads the jobs that candidates depend on, and sets in the candidates' rows whether they are blocked. The
 * locks keep unfinished parents from ending before the transaction does, so that no end is missed. A parent of another
 * user, or one outside the key's scope, counts as unknown.
 * @returns `orphans`: candidates refused because they depend on unknown jobs; `edges`: those of the others, to be
 * stored with them
 */
export async function checkParents(
  transaction: Executor,
  candidates: JobCandidate[],
): Promise<{ orphans: Map<JobCandidate, BatonError>; edges: Edge[] }> {
  const orphans = new Map<JobCandidate, BatonError>();
  const edges: Edge[] = [];
  // A repeated request gets its first job, whatever has happened to the parents since.
  const wanting = await findFresh(
    transaction,
    candidates.filter(({ job }) => hasParents(job)),
  );
  if (wanting.length === 0) return { orphans, edges };
  // Visibility never changes, so it is checked first: nothing is locked for a caller who may not see it.
  const visible = await findParents(transaction, wanting);
  const known = wanting.filter((candidate) => unknownIn(candidate, visible) < 0);
  await store.lockParents(transaction, [...new Set(known.flatMap(({ job }) => job.dependsOn ?? []))]);
  const parents = known.length === 0 ? visible : await findParents(transaction, known);
  for (const candidate of wanting) {
    const unknown = unknownIn(candidate, parents);
    if (unknown >= 0) {
      orphans.set(candidate, noSuchParent(candidate.job.dependsOn?.[unknown] ?? '', unknown));
      continue;
    }
    const dependsOn = [...new Set(candidate.job.dependsOn)];
    const found = dependsOn.flatMap((id) => edgeTo(candidate, parents.get(id)));
    candidate.row.relations = {
      ...candidate.row.relations,
      dependsOn,
      isBlocked: found.some(({ outcome }) => outcome === null),
    };
    candidate.endedParents = found.flatMap(({ outcome, parentId }) =>
      outcome === null && parents.get(parentId)?.isFinished === true ? [parentId] : [],
    );
    edges.push(...found);
  }
  return { orphans, edges };
}

/**
 * Parents that had ended without completing when the job was created. The job is then cancelled like one whose parents
 * end later.
 */
export function endedParents({ endedParents: ended = [] }: JobCandidate): string[] {
  return ended;
}

async function findParents(transaction: Executor, candidates: JobCandidate[]): Promise<Map<string, views.Parent>> {
  const ids = [...new Set(candidates.flatMap(({ job }) => job.dependsOn ?? []))];
  return new Map((await views.parents(transaction, ids)).map((parent) => [parent.id, parent]));
}

/** Index in `dependsOn` of the first job that does not exist for this caller; -1: all exist. */
function unknownIn({ job, caller }: JobCandidate, parents: Map<string, views.Parent>): number {
  const own = visibleUser(caller);
  return (job.dependsOn ?? []).findIndex((id) => {
    const parent = parents.get(id);
    return parent === undefined || (own !== null && parent.userId !== own) || !covers(caller, parent);
  });
}

function edgeTo({ job, row }: JobCandidate, parent: views.Parent | undefined): Edge[] {
  if (parent === undefined) return [];
  const toleratesFailure = job.onDependencyFailure === 'run';
  const isOver = parent.status === 'completed' || (toleratesFailure && parent.isFinished);
  const outcome = isOver ? (parent.status as Edge['outcome']) : null;
  return [{ jobId: row.id, parentId: parent.id, outcome, toleratesFailure }];
}

function noSuchParent(id: string, index: number): BatonError {
  const message = `There is no job with id ${id}.`;
  return new BatonError('validation_failed', message, { errors: [{ path: `dependsOn.${index}`, message }] });
}
