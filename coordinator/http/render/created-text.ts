import { DEFAULT_RETRY, type Job, job } from '@baton/runner-sdk/protocol';
import { compileText, type Written } from '../../compile';
import type { JobRow } from '../../store/jobs';
import { type ColumnType, type FieldName, FIELDS } from '../../store/jobs/fields';
import { listText } from './claimed-text';
import { JOB_VIEWS } from './jobs';

const DEFAULT_RETRY_TEXT = JSON.stringify(DEFAULT_RETRY);

let lastTime: Date | null = null;
let lastText = '';

/** Members of a new job that are not columns. */
const VIEWS: { [Name in keyof Job]?: Written } = {
  estimate: { constant: null },
  dependsOn: { constant: [] },
  retry: { by: ({ retry }: JobRow) => (retry === null ? DEFAULT_RETRY_TEXT : JSON.stringify(retry)) },
  callbackUrl: { by: (row: JobRow) => jsonText(JOB_VIEWS.callbackUrl(row, null)) },
};

/** How values of a type are written; other types are text or JSON. */
const TEXTS: { [Type in ColumnType]?: Extract<Written, { as: unknown }>['as'] } = {
  uuid: quotedText,
  smallint: 'is',
  int: 'is',
  boolean: 'is',
  timestamptz: timeText,
  'text[]': listText,
};

/**
 * A new job without parents or a group, as the JSON text of what `renderJob` returns. Generated as text, because a bulk
 * create is answered with a kilobyte per job, most of it fields that a new job never has.
 */
export const createdText = compileText<JobRow>(
  (Object.keys(job.shape) as (keyof Job)[]).map((name) => [name, VIEWS[name] ?? written(name as FieldName)]),
);

function written(name: FieldName): Written {
  const field = FIELDS.get(name);
  if (field === undefined) throw new Error(`nothing tells how the ${name} of a new job is written`);
  return field.fresh === undefined ? { name, as: TEXTS[field.type] ?? jsonText } : { constant: field.fresh };
}

function quotedText(value: string | null): string {
  return value === null ? 'null' : `"${value}"`;
}

function jsonText(value: unknown): string {
  return value === null ? 'null' : JSON.stringify(value);
}

/** Jobs created together share their times as one object. */
function timeText(time: Date | null): string {
  if (time === null) return 'null';
  if (time !== lastTime) {
    lastTime = time;
    lastText = `"${time.toISOString()}"`;
  }
  return lastText;
}
