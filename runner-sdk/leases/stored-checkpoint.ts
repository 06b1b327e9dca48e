/** Returned by `job.checkpoint`: settles once the coordinator has stored the value, or never will. */
export class StoredCheckpoint {
  readonly promise: Promise<void>;
  resolve: () => void = () => undefined;
  reject: (reason: Error) => void = () => undefined;

  /** @param onAwaited called once, when it is first awaited: most checkpoints never are */
  constructor(onAwaited: () => void) {
    const promise = new AwaitedPromise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // It need not be awaited, so its failure must not be an unhandled rejection.
    void Promise.prototype.then.call(promise, undefined, () => undefined);
    promise.onAwaited = onAwaited;
    this.promise = promise;
  }
}

class AwaitedPromise extends Promise<void> {
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  onAwaited: (() => void) | null = null;

  /** `await` calls it too, because this is not a plain Promise. */
  override then<Fulfilled = void, Rejected = never>(
    onFulfilled?: ((value: void) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    this.onAwaited?.();
    this.onAwaited = null;
    return super.then(onFulfilled, onRejected);
  }
}
