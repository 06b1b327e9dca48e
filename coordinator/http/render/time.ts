/** A time as the contract writes it, in ISO-8601. */
export function time(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}
