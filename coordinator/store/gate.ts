import { BatonError } from '../errors';

/** Limits how many run at once; the others wait in order of arrival, but not indefinitely. */
export class Gate {
  private readonly waiting: (() => void)[] = [];
  private inside = 0;

  constructor(
    private readonly most: number,
    private readonly patienceMs: number,
  ) {}

  /**
   * @throws {BatonError} `unavailable` when its turn does not come within the patience; also throws what the work
   * throws
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.inside < this.most) this.inside += 1;
    else await this.turn();
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.inside -= 1;
      else next();
    }
  }

  private turn(): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.waiting.splice(this.waiting.indexOf(enter), 1);
        reject(
          new BatonError('unavailable', 'Too many creates of lists or with keys are under way.', {
            retryAfterMs: 1000,
          }),
        );
      }, this.patienceMs);
      this.waiting.push(enter);
    });
  }
}
