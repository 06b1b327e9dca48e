import type { z } from 'zod';
import {
  assertStrict,
  choiceOf,
  filterQuery,
  type All,
  type Bulk,
  type BulkInBackground,
  type Counted,
  type Filter,
  type Page,
} from './filters';
import type { Send } from '../transport/transport';
import type { bulkCount, BulkOperation, DeadLetter, DeadLetterGroup, deadLetterList, Job, Json } from '../protocol';

export type DeadLetterPage = z.infer<typeof deadLetterList>;
/** Dead letters are failed jobs, so there is no filter by status. */
export type DeadLetterFilter = Omit<Filter, 'status'>;

export class DeadLetters {
  constructor(private readonly send: Send) {}

  /** One page, newest first. */
  async list(filter: DeadLetterFilter & Page = {}): Promise<DeadLetterPage> {
    return this.send({ method: 'GET', path: '/dead-letters', query: filterQuery('deadLetters.list', filter) });
  }

  /** Groups of dead letters that failed alike, the largest groups first. */
  async groups(filter: DeadLetterFilter & Pick<Page, 'limit'> = {}): Promise<DeadLetterGroup[]> {
    const query = filterQuery('deadLetters.groups', filter);
    return (await this.send<{ items: DeadLetterGroup[] }>({ method: 'GET', path: '/dead-letters/groups', query }))
      .items;
  }

  /** Throws `BatonError` `not_found`. */
  get(id: string): Promise<DeadLetter> {
    return this.send({ method: 'GET', path: deadLetterPath(id) });
  }

  /** Retries it with failures starting at 0, with other arguments if given. */
  retry(id: string, options: { arguments?: Json | undefined } = {}): Promise<Job> {
    return this.send({ method: 'POST', path: `${deadLetterPath(id)}/retry`, body: options });
  }

  /**
   * Retries all matching dead letters; the `fingerprint` of a group matches all of it, `{ all: true }` every dead
   * letter.
   */
  async retryAll<B extends Bulk | BulkInBackground = Bulk>(filter: DeadLetterFilter | All, options?: B): Counted<B> {
    const reply = await this.send<z.infer<typeof bulkCount> | BulkOperation>({
      method: 'POST',
      path: '/dead-letters/retry',
      body: { ...options, ...choiceOf('deadLetters.retryAll', filter) },
    });
    return ('count' in reply ? reply.count : reply) as Awaited<Counted<B>>;
  }

  /**
   * Permanently deletes those that failed at least `olderThanMs` ago, or all, and returns how many; needs a key of role
   * `admin`.
   */
  async cleanup(what: { olderThanMs: number } | All): Promise<number> {
    assertStrict('deadLetters.cleanup', what);
    const request = { method: 'POST', path: '/dead-letters/cleanup', body: what } as const;
    return (await this.send<z.infer<typeof bulkCount>>(request)).count;
  }

  /** Permanently deletes one; needs a key of role `admin`. */
  async delete(id: string): Promise<void> {
    await this.send({ method: 'DELETE', path: deadLetterPath(id) });
  }
}

function deadLetterPath(id: string): string {
  return `/dead-letters/${encodeURIComponent(id)}`;
}
