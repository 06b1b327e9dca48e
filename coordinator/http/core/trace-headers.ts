import { traceparent, tracestate } from '@baton/runner-sdk/protocol';

/** The caller's trace, as it is stored with jobs; what is not W3C Trace Context is passed over, as that asks for. */
export function readTrace(parent: string | undefined, state: string | undefined): string | undefined {
  if (parent === undefined) return undefined;
  const read = traceparent.safeParse(parent);
  if (!read.success) return undefined;
  const more = tracestate.safeParse(state);
  return more.success && more.data !== '' ? `${read.data} ${more.data}` : read.data;
}
