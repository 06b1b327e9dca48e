import { type Look, lookOf, type Style } from '../terminal/style';
import { clean, jsonText } from '../terminal/text';

const NAME_WIDTH = 11;
const LOOKS: readonly Look[] = ['cyan', 'magenta'];

export interface LoggedLine {
  message: string;
  fields: ReadonlyMap<string, unknown>;
}

/** A line that a process logged as JSON; undefined: it is plain text. */
export function parseLogged(line: string): LoggedLine | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null) return undefined;
    const fields = new Map<string, unknown>(Object.entries(value));
    const message = fields.get('message') ?? fields.get('msg');
    return typeof message === 'string' ? { message, fields } : undefined;
  } catch {
    return undefined;
  }
}

const LEFT_OUT = new Set(['message', 'msg', 'level', 'timestamp', 'at', 'time']);

/** Who said what, on one line for people. */
export function logLine(name: string, index: number, line: string, style: Style): string {
  const who = style(LOOKS[index % LOOKS.length], name.padEnd(NAME_WIDTH));
  const logged = parseLogged(line);
  if (logged === undefined) return `${who} ${clean(line)}`;
  const given = logged.fields.get('level');
  const level = typeof given === 'string' ? given : 'info';
  const rest = [...logged.fields].filter(([field]) => !LEFT_OUT.has(field));
  const details = rest.map(
    ([field, value]) => `${field}=${typeof value === 'string' ? clean(value) : jsonText(value)}`,
  );
  const said = level === 'info' ? clean(logged.message) : style(lookOf(level), `${level}: ${clean(logged.message)}`);
  return `${who} ${said}${details.length === 0 ? '' : ` ${style('dim', details.join(' '))}`}`;
}
