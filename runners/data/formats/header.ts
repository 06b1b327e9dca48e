import type { Item } from '../tools';
import { badFile } from './faults';

/** Names of columns; columns without a name get their number. */
export function headerOf(fields: readonly unknown[]): string[] {
  const names = fields.map((field, index) => textOf(field).trim() || `column_${index + 1}`);
  const double = names.find((name, index) => names.indexOf(name) !== index);
  if (double !== undefined) throw badFile(`two columns are called ${JSON.stringify(double)}`);
  return names;
}

/** Rows with too few fields are rejected too, because a truncated line looks like that. */
export function rowOf(header: readonly string[], fields: readonly unknown[]): Item {
  if (fields.length !== header.length)
    return { reason: `has ${fields.length} fields, and the header ${header.length}`, values: fields };
  return { row: Object.fromEntries(header.map((name, index) => [name, fields[index]])) };
}

function textOf(field: unknown): string {
  if (field === null || field === undefined) return '';
  return typeof field === 'string' ? field : JSON.stringify(field);
}
