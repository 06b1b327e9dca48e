// Functions that are generated once, at start, and run as fast as hand-written ones. Filling in an object of fifty
// fields by a loop takes twenty times as long as a literal, and reading it stays slower.

/** Where a value comes from: a field of the argument `of`, a constant, or a function of all arguments. */
export type Origin =
  { of: string; name: string; orNull?: boolean } | { constant: unknown } | { by: (...values: never[]) => unknown };

/**
 * A function that returns an object of these fields.
 * @param parameters the names of its arguments, to which the origins refer
 */
export function compileObject<Make>(parameters: readonly string[], fields: Iterable<readonly [string, Origin]>): Make {
  const scope = new Scope(parameters);
  const members = [...fields].map(([name, origin]) => `${JSON.stringify(name)}: ${scope.read(origin)}`);
  return scope.compile(`({ ${members.join(', ')} })`);
}

/** How a member of an object is written as JSON. */
export type Written =
  /** Always the same value. */
  | { constant: unknown }
  /** A field of the argument: as it is, in quotes, or by a function that returns JSON. */
  | { name: string; as: 'is' | 'quoted' | ((value: never) => string) }
  /** A function of the argument that returns JSON. */
  | { by: (row: never) => string };

/** A function that writes an object as JSON text without creating it. */
export function compileText<Row>(members: Iterable<readonly [string, Written]>): (row: Row) => string {
  const scope = new Scope(['row']);
  let text = '';
  const parts: string[] = [];
  for (const [name, written] of members) {
    text += `${text === '' && parts.length === 0 ? '{' : ','}${JSON.stringify(name)}:`;
    if ('constant' in written) {
      text += JSON.stringify(written.constant);
      continue;
    }
    const isQuoted = 'as' in written && written.as === 'quoted';
    parts.push(JSON.stringify(isQuoted ? `${text}"` : text), scope.write(written));
    text = isQuoted ? '"' : '';
  }
  parts.push(JSON.stringify(`${text}}`));
  return scope.compile(parts.join(' + '));
}

class Scope {
  private readonly outer: unknown[] = [];

  constructor(private readonly parameters: readonly string[]) {}

  read(origin: Origin): string {
    if ('constant' in origin) return this.name(origin.constant);
    if ('by' in origin) return `${this.name(origin.by)}(${this.parameters.join(', ')})`;
    const value = `${origin.of}[${JSON.stringify(origin.name)}]`;
    return origin.orNull === true ? `${value} ?? null` : value;
  }

  write(written: Exclude<Written, { constant: unknown }>): string {
    if ('by' in written) return this.read(written);
    const value = this.read({ of: 'row', name: written.name });
    return typeof written.as === 'string' ? value : `${this.name(written.as)}(${value})`;
  }

  /** The text contains only field names from our own tables, never anything that was sent. */
  compile<Make>(returned: string): Make {
    const names = this.outer.map((_value, index) => `o${index}`);
    // eslint-disable-next-line @typescript-eslint/no-implied-eval
    const make = new Function(...names, `return (${this.parameters.join(', ')}) => ${returned};`) as (
      ...outer: unknown[]
    ) => Make;
    return make(...this.outer);
  }

  private name(value: unknown): string {
    return `o${this.outer.push(value) - 1}`;
  }
}
