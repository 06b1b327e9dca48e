import { traceparent, tracestate } from '@baton/runner-sdk/protocol';

/** The caller's trace as it is stored with jobs. Invalid headers are ignored, as W3C Trace Context demands. */
export function readTrace(parent: string | undefined, state: string | undefined): string | undefined {
  if (parent === undefined) return undefined;
  const read = traceparent.safeParse(parent);
  if (!read.success) return undefined;
  const more = tracestate.safeParse(state);
  return more.success && more.data !== '' ? `${read.data} ${more.data}` : read.data;
}
