/**
 * The heartbeat thread and its imports as one script. The build writes it into the compiled form of this file
 * (scripts/bundle-thread.mjs), for programs that are bundled into one file and have no separate file of the thread.
 */
export const heartbeatThreadSource: string | null = null;
