import { DEFAULT_RETRY } from '@baton/runner-sdk/protocol';
import type { JobRow } from '../store/jobs';

const DEFAULT_RETRY_TEXT = JSON.stringify(DEFAULT_RETRY);

/**
 * A job that was just created as the JSON text of what `renderJob` makes of it. Written out, because a bulk create is
 * answered with a kilobyte a job, most of it what a new job never has.
 */
export function createdText(row: JobRow): string {
  return (
    `{"id":"${row.id}","type":${JSON.stringify(row.type)},"queue":${JSON.stringify(row.queue)},"status":"pending","reason":null,"priority":${row.priority}` +
    `,"arguments":${JSON.stringify(row.arguments)},"result":null,"error":null,"attempt":0,"failures":0,"maxAttempts":${row.maxAttempts}` +
    `,"retry":${row.retry === null || row.retry === DEFAULT_RETRY ? DEFAULT_RETRY_TEXT : JSON.stringify(row.retry)},"timeoutMs":${row.timeoutMs}` +
    `,"runAt":${timeText(row.runAt)},"expiresAt":${timeText(row.expiresAt)},"progress":null,"estimate":null,"userId":${JSON.stringify(row.userId)}` +
    `,"tags":${row.tags.length === 0 ? '[]' : JSON.stringify(row.tags)},"metadata":${jsonText(row.metadata)},"requires":${jsonText(row.requires)}` +
    `,"prefers":${jsonText(row.prefers)},"uniqueKey":${jsonText(row.uniqueKey)},"concurrencyKey":${jsonText(row.concurrencyKey)},"orderKey":${jsonText(row.orderKey)}` +
    `,"dependsOn":[],"workflowId":null,"batchId":null,"scheduleId":null,"runnerId":null,"leaseExpiresAt":null,"deadlineAt":null,"checkpoint":null` +
    `,"metrics":null,"callbackUrl":${row.callback === null ? 'null' : JSON.stringify((row.callback as { url: string }).url)}` +
    `,"createdAt":${timeText(row.createdAt)},"startedAt":null,"finishedAt":null,"updatedAt":${timeText(row.updatedAt)}}`
  );
}

function jsonText(value: unknown): string {
  return value === null ? 'null' : JSON.stringify(value);
}

let lastTime: Date | null = null;
let lastText = '';

/** Jobs that were created together share their times, as one object. */
function timeText(time: Date | null): string {
  if (time === null) return 'null';
  if (time !== lastTime) {
    lastTime = time;
    lastText = `"${time.toISOString()}"`;
  }
  return lastText;
}
