import type { CleanupResult } from './jobs';

const MOST_EXAMPLES = 20;

/** What a task has done, or would do. */
export class Tally {
  private count = 0;
  private bytes = 0;
  private readonly examples: string[] = [];

  constructor(private readonly kind: string) {}

  add(example: string, bytes = 0): void {
    this.count += 1;
    this.bytes += bytes;
    if (this.examples.length < MOST_EXAMPLES) this.examples.push(example.slice(0, 300));
  }

  addMany(count: number): void {
    this.count += count;
  }

  get total(): number {
    return this.count;
  }

  get result(): CleanupResult['tasks'][number] {
    return { kind: this.kind, count: this.count, bytes: this.bytes, examples: this.examples };
  }
}
