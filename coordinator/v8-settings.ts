import { setFlagsFromString } from 'node:v8';

// Must be loaded before everything else: V8 keeps the delay that it knew when it first scheduled a memory reduction.

/**
 * While a process is idle, V8 reduces memory every 8 s, each time with up to three full collections. With thousands of
 * waiting polls that took a third of the CPU time; every ten minutes is enough.
 */
const GIVE_BACK_MS = 600_000;

setFlagsFromString(`--gc-memory-reducer-start-delay-ms=${GIVE_BACK_MS}`);

/**
 * How far the heap may grow beyond the live size before a full collection. By default V8 allows up to four times the
 * live size for a process that allocates slowly, such as one with thousands of waiting polls, which all live long
 * enough to need a full collection.
 */
const GROWTH_PERCENT = 100;

setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
