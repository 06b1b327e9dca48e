import { defineJob, type WorkflowBuilder } from '@baton/runner-sdk';
import { z } from 'zod';

const author = z.object({ name: z.string(), email: z.string(), commits: z.int() });
const language = z.object({ files: z.int(), bytes: z.int() });

/** What one repository holds, on its default branch. */
const found = z.object({
  url: z.string(),
  head: z.string(),
  lastCommitAt: z.string(),
  commits: z.int(),
  authors: z.array(author),
  /** By the endings of names, without the dot; empty: files that have none. */
  files: z.record(z.string(), language),
});
export type Found = z.infer<typeof found>;

/** Clones a repository, and counts what it holds. */
export const repositoryAnalysis = defineJob({
  type: 'repository-analysis',
  arguments: z.strictObject({ url: z.string().min(1).max(2000) }),
  result: found,
  timeoutMs: 900_000,
});

const merged = z.object({
  repositories: z.int(),
  /** Repositories that could not be analysed, with the status of their jobs. */
  missing: z.record(z.string(), z.string()),
  commits: z.int(),
  lastCommitAt: z.string().nullable(),
  /** By their address, those of most commits first; `repositories`: in how many. */
  authors: z.array(author.extend({ repositories: z.int() })),
  files: z.record(z.string(), language),
});
export type Merged = z.infer<typeof merged>;

/** Adds up what was found in the repositories; the last job of the workflow. */
export const repositoriesMerge = defineJob({
  type: 'repositories-merge',
  arguments: z.strictObject({ urls: z.record(z.string(), z.string()) }),
  result: merged,
});

/**
 * The whole workflow: `client.workflow('repositories', (w) => analyseRepositories(w, urls))`. Each repository is one
 * job; the last, `merge`, runs whatever has become of them, and says which are missing.
 */
export function analyseRepositories(workflow: WorkflowBuilder, urls: readonly string[]): void {
  const keys = new Map([...new Set(urls)].map((url, index) => [`repository-${index + 1}`, url]));
  const steps = [...keys].map(([key, url]) => workflow.add(repositoryAnalysis, { url }, { key }));
  workflow.add(
    repositoriesMerge,
    { urls: Object.fromEntries(keys) },
    { key: 'merge', after: steps, onDependencyFailure: 'run' },
  );
}
