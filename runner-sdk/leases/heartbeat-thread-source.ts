/**
 * The heartbeat thread and all that it imports as one script. The build writes it over the compiled form of this file
 * (scripts/bundle-thread.mjs), for programs that are bundled into one file and have no file of the thread beside them.
 */
export const heartbeatThreadSource: string | null = null;
