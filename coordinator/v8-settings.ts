import { setFlagsFromString } from 'node:v8';

// To be loaded before all else: once V8 has planned to give memory back, it keeps to the delay that it knew then.

/**
 * While a process does little, V8 gives memory back every 8 s, each time by collecting all of it up to three times. With
 * thousands of polls that wait, that was a good third of the processor's time; every ten minutes is enough.
 */
const GIVE_BACK_MS = 600_000;

setFlagsFromString(`--gc-memory-reducer-start-delay-ms=${GIVE_BACK_MS}`);

/**
 * How much more than was alive the heap may take before all of it is collected. Left to itself V8 allows up to four times
 * as much to a process that allocates slowly, as one does in which thousands of polls wait: each lives long enough to be
 * collected with all the rest only.
 */
const GROWTH_PERCENT = 100;

setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
