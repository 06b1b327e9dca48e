import { z } from 'zod';

/** W3C Trace Context, version 00: trace id, span id and flags. */
export const traceparent = z
  .string()
  .regex(
    /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/,
    'must be a W3C traceparent of version 00, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  );
/** What vendors add to a trace. */
export const tracestate = z
  .string()
  .max(512)
  .regex(/^[\x20-\x7e]*$/, 'must be at most 512 visible ASCII characters');
