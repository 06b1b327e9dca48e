import type { JobContext } from '@baton/runner-sdk';
import { type Found, type Merged, repositoryAnalysis } from './jobs';

/** Handles `repositories-merge`: the coordinator hands the results of the analyses to the job. */
export async function mergeRepositories({ urls }: { urls: Record<string, string> }, job: JobContext): Promise<Merged> {
  const missing = new Map<string, string>();
  const all: Found[] = [];
  const outcomes = new Map(Object.entries(job.dependencies));
  for (const [key, url] of Object.entries(urls)) {
    const status = outcomes.get(key)?.status ?? 'missing';
    const found = status === 'completed' ? await job.resultOf(repositoryAnalysis, key) : undefined;
    if (found === undefined) missing.set(url, status);
    else all.push(found);
  }
  return { repositories: all.length, missing: Object.fromEntries(missing), ...merged(all) };
}

function merged(all: readonly Found[]): Omit<Merged, 'repositories' | 'missing'> {
  const authors = new Map<string, Merged['authors'][number]>();
  const files = new Map<string, { files: number; bytes: number }>();
  for (const one of all) {
    for (const { name, email, commits } of one.authors) {
      const known = authors.get(email) ?? { name, email, commits: 0, repositories: 0 };
      authors.set(email, { ...known, commits: known.commits + commits, repositories: known.repositories + 1 });
    }
    for (const [ending, { files: count, bytes }] of Object.entries(one.files)) {
      const known = files.get(ending) ?? { files: 0, bytes: 0 };
      files.set(ending, { files: known.files + count, bytes: known.bytes + bytes });
    }
  }
  // ISO-8601 with time zones does not sort as text.
  const last = all.map(({ lastCommitAt }) => lastCommitAt).sort((a, b) => Date.parse(b) - Date.parse(a))[0];
  return {
    commits: all.reduce((sum, { commits }) => sum + commits, 0),
    lastCommitAt: last ?? null,
    authors: [...authors.values()].sort((a, b) => b.commits - a.commits),
    files: Object.fromEntries([...files].sort(([, a], [, b]) => b.bytes - a.bytes)),
  };
}
