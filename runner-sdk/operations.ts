import type { z } from 'zod';
import type { ApiRequest, Transport } from './http';
import type { ApiKey, apiKeyList, CreateApiKey, CreatedApiKey, Health, runnerList, RunnerView } from './protocol';

export type RunnerPage = z.infer<typeof runnerList>;
export type ApiKeyPage = z.infer<typeof apiKeyList>;

/** What operators ask of a coordinator: its runners, its keys, its health. */
export class Operations {
  /** Making, listing and ending keys; needs a key of role `admin`. */
  readonly apiKeys = {
    /** The answer's `key` is shown this once. Not sent again when the answer may only have been lost. */
    create: (key: CreateApiKey): Promise<CreatedApiKey> => this.send({ method: 'POST', path: '/api-keys', body: key, repeatable: false }),
    list: (page: { limit?: number; cursor?: string } = {}): Promise<ApiKeyPage> => this.send({ method: 'GET', path: '/api-keys', query: page }),
    revoke: (id: string): Promise<ApiKey> => this.send({ method: 'DELETE', path: `/api-keys/${encodeURIComponent(id)}` }),
  };

  protected constructor(
    protected readonly transport: Transport,
    protected readonly budgetMs: number,
  ) {}

  /** One page of the runners the coordinator has heard of. */
  async runners(page: { limit?: number; cursor?: string } = {}): Promise<RunnerPage> {
    return this.send({ method: 'GET', path: '/runners', query: page });
  }

  /** Gives it no more work; what it runs it finishes. */
  async drainRunner(id: string): Promise<RunnerView> {
    return this.send({ method: 'POST', path: `/runners/${encodeURIComponent(id)}/drain` });
  }

  async resumeRunner(id: string): Promise<RunnerView> {
    return this.send({ method: 'POST', path: `/runners/${encodeURIComponent(id)}/resume` });
  }

  async health(): Promise<Health> {
    return this.send({ method: 'GET', path: '/health' });
  }

  protected async send<T>(request: ApiRequest): Promise<T> {
    return (await this.transport.call<T>({ budgetMs: this.budgetMs, ...request })).body;
  }
}
