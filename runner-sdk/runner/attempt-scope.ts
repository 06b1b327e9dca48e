import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';

/** Keeps no process alive, as tools that look for open handles find by `hasRef`. */
class ContextResource extends AsyncResource {
  constructor(name: string) {
    super(name, { requireManualDestroy: true });
  }

  hasRef(): boolean {
    return false;
  }
}

/** Created when this module is loaded, so it belongs to no request and no job. */
const root = new ContextResource('BatonRoot');
const current = new AsyncLocalStorage<object>();

/**
 * A separate async context: the caller's `AsyncLocalStorage` values are not visible in it, and values entered in it are
 * not visible elsewhere. Not shared by two attempts, because `enterWith` changes the context it is called in.
 */
export class AsyncScope {
  private readonly resource = root.runInAsyncScope(() => new ContextResource('BatonScope'));

  run<Result>(call: () => Result): Result {
    return this.resource.runInAsyncScope(call);
  }
}

/** The context of one attempt: `currentAttempt` finds it in everything that its handler has started. */
export class AttemptScope extends AsyncScope {
  constructor(private readonly attempt: object) {
    super();
  }

  override run<Result>(call: () => Result): Result {
    return super.run(() => (current.getStore() === this.attempt ? call() : current.run(this.attempt, call)));
  }
}

/** The attempt whose handler is the caller, directly or through anything asynchronous; `undefined` outside handlers. */
export function currentAttempt(): object | undefined {
  return current.getStore();
}
