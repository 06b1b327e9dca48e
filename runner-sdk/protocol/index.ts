/** The shape of every request and reply. The coordinator validates with these same objects. */
export * from './api-keys';
export * from './attempts';
export * from './audit';
export * from './bulk';
export * from './dead-letters';
export * from './events';
export * from './health';
export * from './jobs';
export * from './logs';
export * from './payload';
export * from './primitives';
export * from './problem';
export * from './queues';
export * from './rate-limits';
export * from './retention';
export * from './runners';
export * from './session';
