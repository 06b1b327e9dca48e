/** A variable of the environment without blanks and quotes around it; empty where it is not set. */
export function readVariable(name: string, environment: NodeJS.ProcessEnv): string {
  return unquoted(Object.hasOwn(environment, name) ? environment[name] : undefined);
}

/** Readers of env files disagree on whether quotes around a value belong to it. Here they never do. */
export function unquoted(value: string | undefined): string {
  const text = value?.trim() ?? '';
  const inner = /^(["'])(.*)\1$/s.exec(text)?.[2]?.trim();
  return inner === undefined || inner === '' ? text : inner;
}
