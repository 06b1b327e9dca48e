/**
 * Loaded into each process of `npm start` before its own program: when `npm start` itself is killed, the channel to it
 * breaks, and the process drains and ends instead of running on unnoticed.
 */
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
