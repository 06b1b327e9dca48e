export type Level = 'ok' | 'warning' | 'problem' | 'skipped';

/** What one check found. */
export interface Finding {
  check: string;
  level: Level;
  /** What is so. */
  what: string;
  /** Why it matters. */
  why?: string;
  /** What to do about it. */
  advice?: string;
  /** Puts it right; only what harms nobody. Returns what was done. */
  fix?: () => string;
}

export function ok(check: string, what: string): Finding {
  return { check, level: 'ok', what };
}

export function skipped(check: string, what: string): Finding {
  return { check, level: 'skipped', what };
}

export function warning(check: string, what: string, why: string, advice: string): Finding {
  return { check, level: 'warning', what, why, advice };
}

export function problem(check: string, what: string, why: string, advice: string): Finding {
  return { check, level: 'problem', what, why, advice };
}
