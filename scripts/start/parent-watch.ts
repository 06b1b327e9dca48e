/**
 * Loaded into each process that `npm start` makes, before its own program: when `npm start` itself is killed, the
 * channel to it breaks, and the process drains and ends instead of living on unseen.
 */
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
