// The only statements that write jobs.status. Each is one guarded UPDATE (or INSERT): its WHERE contains the expected
// state, it returns the rows that it moved, and a row that is not returned was not in that state. Rows are locked in
// the order of their ids, so that two batches over the same jobs wait for each other instead of deadlocking.

export * from './cancel';
export * from './claim';
export * from './edit';
export * from './fields';
export * from './holds';
export * from './insert';
export * from './new-job';
export * from './promote';
export * from './remove';
export * from './report';
export * from './retry';
export * from './row';
export * from './suspend';
export * from './unblock';
