/** A time in ISO-8601, as in the contract. */
export function time(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}
