import { join } from 'node:path';
import { run, shown, type WorkFolders } from '@baton/runner-kit';
import { type JobContext, NonRetryableError } from '@baton/runner-sdk';
import type { Found } from './jobs';
import { gitEnvironment, protocolOf } from './settings';

/** More output than that of a large repository's list of files would need. */
const MOST_LIST_BYTES = 256 * 1024 * 1024;

export interface Limits {
  /** Beginnings of URLs. */
  roots: readonly string[];
  seconds: number;
}

/**
 * Clones a repository without a working tree, and counts its commits, authors and files.
 * @throws {NonRetryableError} `repositories_outside_roots`, `repositories_empty`
 */
export function analyseRepository(
  { url }: { url: string },
  { work, limits }: { work: WorkFolders; limits: Limits },
  job: JobContext,
): Promise<Found> {
  requireBelow(url, limits.roots);
  return work.with(async (home) => {
    const repository = join(home, 'repository');
    const git = async (args: string[], onStdoutLine?: (line: string) => void): Promise<string> => {
      const ended = await run('git', args, {
        ...{
          env: { ...gitEnvironment(home), GIT_ALLOW_PROTOCOL: protocolOf(url) ?? '' },
          signal: job.signal,
          cwd: home,
        },
        ...{
          timeoutMs: limits.seconds * 1000,
          mostOutputBytes: MOST_LIST_BYTES,
          ...(onStdoutLine && { onStdoutLine }),
        },
      });
      job.signal.throwIfAborted();
      if (ended.code === 0) return ended.stdout.trim();
      throw new Error(`git ${args[0]} ended with ${ended.endedBy ?? ended.code}: ${ended.stderr.trim().slice(-300)}`);
    };
    await git([
      '-c',
      'http.followRedirects=false',
      'clone',
      '--quiet',
      '--bare',
      '--single-branch',
      '--',
      url,
      repository,
    ]);
    job.progress(50, 'cloned');
    const inside = (args: string[], onLine?: (line: string) => void): Promise<string> =>
      git(['--git-dir', repository, ...args], onLine);
    if ((await inside(['rev-list', '--all', '--max-count=1'])) === '')
      throw new NonRetryableError(`${shown(url)} has no commit`, { code: 'repositories_empty' });
    const [head = '', lastCommitAt = ''] = (await inside(['log', '-1', '--format=%H %cI'])).split(' ');
    const authors = new Map<string, Found['authors'][number]>();
    let commits = 0;
    await inside(['log', '--format=%aE%x09%aN'], (line) => {
      const [email = '', name = ''] = line.split('\t');
      const known = authors.get(email) ?? { name, email, commits: 0 };
      authors.set(email, { ...known, commits: known.commits + 1 });
      commits += 1;
    });
    job.progress(75, 'counted commits');
    const files = new Map<string, { files: number; bytes: number }>();
    await inside(['ls-tree', '-r', '--long', 'HEAD'], (line) => {
      // Mode, kind, object and size, then the name after a tab. Links to other repositories have no size.
      const [, kind, size, name = ''] = /^\d+ (\w+) \w+\s+(\d+|-)\t(.*)$/s.exec(line) ?? [];
      if (kind !== 'blob') return;
      const ending = (/[^/]\.([A-Za-z0-9]{1,20})"?$/.exec(name)?.[1] ?? '').toLowerCase();
      const known = files.get(ending) ?? { files: 0, bytes: 0 };
      files.set(ending, { files: known.files + 1, bytes: known.bytes + Number(size) });
    });
    return {
      ...{ url, head, lastCommitAt, commits, files: Object.fromEntries(files) },
      authors: [...authors.values()].sort((a, b) => b.commits - a.commits),
    };
  });
}

function requireBelow(url: string, roots: readonly string[]): void {
  const isBelow = roots.some((root) => url === root || url.startsWith(root.endsWith('/') ? root : `${root}/`));
  if (isBelow && protocolOf(url) !== null && !url.split(/[/\\]|%2f|%5c/i).includes('..')) return;
  throw new NonRetryableError(`${shown(url)} is below none of REPOSITORIES_ROOTS, which are ${roots.join(', ')}`, {
    code: 'repositories_outside_roots',
  });
}
