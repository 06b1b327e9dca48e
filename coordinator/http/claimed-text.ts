import type { ClaimedRow } from '../store/jobs';

/**
 * Claimed jobs as the JSON text of `claimedJob`s. Written out, because a claim's answer is the largest of the hot ones:
 * payloads go through as they are stored, and neither they nor the job become an object in between.
 */
export function claimedText(rows: readonly ClaimedRow[]): string {
  return `[${rows.map(jobText).join(',')}]`;
}

function jobText(row: ClaimedRow): string {
  return (
    `{"id":"${row.id}","type":${JSON.stringify(row.type)},"queue":${JSON.stringify(row.queue)},"arguments":${row.arguments}` +
    `,"attempt":${row.attempt},"maxAttempts":${row.maxAttempts},"leaseToken":"${row.leaseToken}","leaseExpiresAt":"${row.leaseExpiresAt}"` +
    `,"leaseMs":${row.leaseMs},"deadlineAt":"${row.deadlineAt}","timeoutMs":${row.timeoutMs},"metadata":${row.metadata ?? 'null'}` +
    `,"tags":${row.tags.length === 0 ? '[]' : JSON.stringify(row.tags)},"userId":${JSON.stringify(row.userId)},"dependencies":{}` +
    `,"checkpoint":${row.checkpoint ?? 'null'},${traceText(row.trace)}}`
  );
}

/** The stored trace is a traceparent, and after a space a tracestate. */
function traceText(trace: string | null): string {
  if (trace === null) return '"traceparent":null';
  const end = trace.indexOf(' ');
  if (end < 0) return `"traceparent":${JSON.stringify(trace)}`;
  return `"traceparent":${JSON.stringify(trace.slice(0, end))},"tracestate":${JSON.stringify(trace.slice(end + 1))}`;
}
