import type { Attempt } from './attempt';
import { within } from '../transport/backoff';
import { messageOf } from '../transport/failure';
import type { HandlerHooks } from './handler';
import type { Logger } from './logger';

/** How long the runner waits for a callback, which is not aborted after that. */
const HOOK_MS = 5000;

/** Calls the callbacks of handlers, each in the async context of its attempt. What they throw is logged. */
export class HookCalls {
  private readonly pending = new Set<Promise<void>>();

  constructor(private readonly logger: Logger) {}

  call(attempt: Attempt, name: keyof HandlerHooks, invoke: (hooks: HandlerHooks) => unknown): void {
    const { hooks } = attempt;
    if (hooks?.[name] === undefined) return;
    const called = attempt.inScope(() => this.await(attempt, name, () => invoke(hooks)));
    this.pending.add(called);
    void called.then(() => this.pending.delete(called));
  }

  /** Resolves when all have returned, or have timed out. */
  async settled(): Promise<void> {
    await Promise.all(this.pending);
  }

  /** Never rejects. */
  private async await({ job }: Attempt, hook: keyof HandlerHooks, invoke: () => unknown): Promise<void> {
    const fields = { jobId: job.id, type: job.type, attempt: job.attempt, hook };
    const returned = (async () => {
      try {
        await invoke();
      } catch (error) {
        this.logger.warn('a callback of a handler threw; the outcome stands', { ...fields, error: messageOf(error) });
      }
      return true;
    })();
    if ((await within(HOOK_MS, returned)) === undefined)
      this.logger.warn('a callback of a handler takes long; it is not waited for', { ...fields, waitedMs: HOOK_MS });
  }
}
