import { BatonError, type Client } from '@baton/runner-sdk';
import type { CreateRecord } from './history';
import { WORK, type Work, type WorkOrder } from './work';

/** Creates jobs as a service would, and writes down what became of each create. */
export class Load {
  readonly creates: CreateRecord[] = [];
  private isStopped = false;

  constructor(
    private readonly client: Client,
    private readonly prefix: string,
  ) {}

  get acknowledged(): number {
    return this.creates.filter((create) => create.outcome === 'acknowledged').length;
  }

  /** One job. Resolves with its id, or undefined when that is not known. */
  async create({ does = ['wait'], ms, options }: WorkOrder): Promise<string | undefined> {
    const record: CreateRecord = { key: `${this.prefix}-${this.creates.length + 1}`, outcome: 'unknown' };
    this.creates.push(record);
    const work: Work = { key: record.key, does, ms };
    try {
      const { id } = await this.client.create(WORK, work, { ...options, idempotencyKey: record.key });
      Object.assign(record, { outcome: 'acknowledged', jobId: id });
      return id;
    } catch (error) {
      if (error instanceof BatonError && error.status >= 400 && error.status < 500) record.outcome = 'refused';
      return undefined;
    }
  }

  /** One job whose create must be acknowledged. */
  async mustCreate(order: WorkOrder): Promise<string> {
    const id = await this.create(order);
    if (id === undefined) throw new Error(`the create ${JSON.stringify(this.creates.at(-1))} was not acknowledged`);
    return id;
  }

  /** Many jobs, so many creates in flight at once, each followed by the next. */
  async createMany(orders: WorkOrder[], inFlight: number): Promise<void> {
    const rest = orders.values();
    const produce = async (): Promise<void> => {
      for (const order of rest) await this.create(order);
    };
    await Promise.all(Array.from({ length: inFlight }, produce));
  }

  /**
   * So many customers, each of whom waits for the job before ordering the next, until there have been enough. What goes
   * wrong is told when the promise is awaited, and to nobody if it never is.
   */
  serve(customers: number, order: () => WorkOrder, isEnough: () => boolean): Promise<unknown> {
    const buy = async (): Promise<void> => {
      while (!isEnough() && !this.isStopped) {
        const id = await this.create(order());
        if (id !== undefined) await this.client.wait(id);
      }
    };
    const serving = Promise.all(Array.from({ length: customers }, buy));
    serving.catch(() => undefined);
    return serving;
  }

  stop(): void {
    this.isStopped = true;
  }
}
