/** Replaces all labels beyond the maximum. */
export const OTHER = '(other)';

/** Bounds the number of time series, however callers name their queues and types: the first `most` keep their names. */
export class BoundedLabels {
  private readonly known = new Set<string>();

  constructor(private readonly most: number) {}

  of(label: string): string {
    if (this.known.has(label)) return label;
    if (this.known.size >= this.most) return OTHER;
    this.known.add(label);
    return label;
  }
}
