import cronstrue from 'cronstrue';

/** A cron expression in words; null: it is none. */
export function cronInWords(expression: string): string | null {
  try {
    return cronstrue.toString(expression.trim(), { use24HourTimeFormat: true, verbose: false });
  } catch {
    return null;
  }
}
