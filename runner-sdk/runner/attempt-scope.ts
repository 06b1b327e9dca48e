import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';

/** Made when this module is loaded, so it belongs to nobody's request and to no job. */
const root = new AsyncResource('BatonRoot', { requireManualDestroy: true });
const current = new AsyncLocalStorage<object>();

/**
 * An async context of its own: what `AsyncLocalStorage` holds for the caller is not found in it, and what is entered in
 * it is found nowhere else. Not shared by two attempts, because `enterWith` writes to the context it is called in.
 */
export class AsyncScope {
  private readonly resource = root.runInAsyncScope(
    () => new AsyncResource('BatonScope', { requireManualDestroy: true }),
  );

  run<Result>(call: () => Result): Result {
    return this.resource.runInAsyncScope(call);
  }
}

/** The context of one attempt: `currentAttempt` finds it again in everything that its handler has begun. */
export class AttemptScope extends AsyncScope {
  constructor(private readonly attempt: object) {
    super();
  }

  override run<Result>(call: () => Result): Result {
    return super.run(() => (current.getStore() === this.attempt ? call() : current.run(this.attempt, call)));
  }
}

/** The attempt whose handler has called, directly or by way of anything asynchronous; `undefined` outside of handlers. */
export function currentAttempt(): object | undefined {
  return current.getStore();
}
