/** What a case has kept of earlier answers, by name. */
export type Kept = Map<string, unknown>;

/** The value with what was kept in place of `{name}`. */
export function filled(value: unknown, kept: Kept): unknown {
  if (typeof value === 'string')
    return value.replace(/\{(\w+)\}/g, (whole, name: string) => textOf(kept, name) ?? whole);
  if (Array.isArray(value)) return value.map((item) => filled(item, kept));
  if (!isObject(value)) return value;
  // As JSON keeps it: a member called __proto__ is a member.
  return JSON.parse(
    `{${Object.entries(value)
      .map(([name, member]) => `${JSON.stringify(name)}:${JSON.stringify(filled(member, kept))}`)
      .join(',')}}`,
  );
}

function textOf(kept: Kept, name: string): string | undefined {
  const found = kept.get(name);
  return typeof found === 'string' ? found : undefined;
}

/**
 * How an answer differs from what is wanted: objects may have more members, lists are as long as wanted, `{"is": type}`
 * stands for any value of a type, `{"other": name}` for any but the one kept, and `{"keep": name}` for any value, which
 * is kept.
 */
export function faultsOf(value: unknown, wanted: unknown, kept: Kept, at = ''): string[] {
  const where = at === '' ? 'the answer' : at;
  const below = (name: string | number): string => (at === '' ? String(name) : `${at}.${name}`);
  if (Array.isArray(wanted)) {
    if (!Array.isArray(value)) return [`${where} is no list`];
    if (value.length !== wanted.length) return [`${where} has ${value.length} instead of ${wanted.length}`];
    return wanted.flatMap((item, index) => faultsOf(value[index], item, kept, below(index)));
  }
  if (isObject(wanted)) {
    const { keep, is, other } = wanted;
    if (typeof keep === 'string') {
      kept.set(keep, value);
      return value === undefined ? [`${where} is missing`] : [];
    }
    if (typeof other === 'string') return value === kept.get(other) ? [`${where} is the same as before`] : [];
    if (typeof is === 'string') return typeof value === is ? [] : [`${where} is ${JSON.stringify(value)}, not a ${is}`];
    if (!isObject(value)) return [`${where} is no object`];
    return Object.entries(wanted).flatMap(([name, member]) => faultsOf(value[name], member, kept, below(name)));
  }
  const expected = filled(wanted, kept);
  return value === expected ? [] : [`${where} is ${JSON.stringify(value)}, not ${JSON.stringify(expected)}`];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
