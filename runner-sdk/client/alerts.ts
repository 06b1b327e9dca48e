import type { z } from 'zod';
import type { Page } from './filters';
import type { Send } from '../transport/transport';
import type { Alert, alertList, alertTest, CreateAlert, EditAlert } from '../protocol';

export type AlertPage = z.infer<typeof alertList>;

export class Alerts {
  constructor(private readonly send: Send) {}

  create(alert: CreateAlert): Promise<Alert> {
    return this.send({ method: 'POST', path: '/alerts', body: alert, repeatable: false });
  }

  list(page: Page = {}): Promise<AlertPage> {
    return this.send({ method: 'GET', path: '/alerts', query: page });
  }

  get(id: string): Promise<Alert> {
    return this.send({ method: 'GET', path: alertPath(id) });
  }

  edit(id: string, changes: EditAlert): Promise<Alert> {
    return this.send({ method: 'PATCH', path: alertPath(id), body: changes });
  }

  async delete(id: string): Promise<void> {
    await this.send({ method: 'DELETE', path: alertPath(id) });
  }

  /** Measures now, and reports the result as `alert.firing` with `isTest`. */
  test(id: string): Promise<z.infer<typeof alertTest>> {
    return this.send({ method: 'POST', path: `${alertPath(id)}/test` });
  }
}

function alertPath(id: string): string {
  return `/alerts/${encodeURIComponent(id)}`;
}
