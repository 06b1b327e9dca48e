import { claimedJob, type ClaimedJob } from '@baton/runner-sdk/protocol';
import { compileText, type Written } from '../../compile';
import type { ClaimedRow } from '../../store/jobs';
import { type FieldsReadBy, JOB_FIELDS } from '../../store/jobs/fields';

type Given = keyof ClaimedJob;

/** Members of a claimed job that are not columns. */
const NOT_STORED: Record<Exclude<Given, FieldsReadBy<'claimed'> | 'tracestate'>, Written> = {
  dependencies: { by: ({ dependencies = '{}' }: ClaimedRow) => dependencies },
  traceparent: { by: (row: ClaimedRow) => traceText(row.trace) },
};

const jobText = compileText<ClaimedRow>(
  (Object.keys(claimedJob.shape) as Given[])
    .filter((name) => name !== 'tracestate')
    .map((name) => [name, isNotStored(name) ? NOT_STORED[name] : given(name)]),
);

/**
 * Claimed jobs as JSON texts of `claimedJob`. Generated as text, because the answer of a claim is the largest of the
 * frequent ones: payloads are copied as stored, and neither they nor the job become objects in between.
 */
export function claimedTexts(rows: readonly ClaimedRow[]): string[] {
  return rows.map(jobText);
}

function isNotStored(name: Given): name is keyof typeof NOT_STORED {
  return Object.hasOwn(NOT_STORED, name);
}

/** Rows have JSON and times as text. */
function given(name: FieldsReadBy<'claimed'>): Written {
  if (name === 'workflowId') return { name, as: (id: string | null) => (id === null ? 'null' : `"${id}"`) };
  switch (JOB_FIELDS[name].type) {
    case 'uuid':
    case 'timestamptz':
      return { name, as: 'quoted' };
    case 'int':
      return { name, as: 'is' };
    case 'json':
      return { name, as: (text: string | null) => text ?? 'null' };
    case 'text[]':
      return { name, as: listText };
    case 'text':
      return { name, as: JSON.stringify };
  }
}

/** The stored trace is a traceparent, followed by a space and a tracestate if there is one. */
function traceText(trace: string | null): string {
  if (trace === null) return 'null';
  const end = trace.indexOf(' ');
  if (end < 0) return JSON.stringify(trace);
  return `${JSON.stringify(trace.slice(0, end))},"tracestate":${JSON.stringify(trace.slice(end + 1))}`;
}

export function listText(list: string[]): string {
  return list.length === 0 ? '[]' : JSON.stringify(list);
}
