/** `20261201T033238123Z`: sorts chronologically. */
export function stampOf(at: Date): string {
  return at.toISOString().replace(/[-:.]/g, '');
}
