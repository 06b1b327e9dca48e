/**
 * Loaded into each process of `baton dev` before its own program: when `baton dev` itself is killed, the channel to it
 * breaks, and the process drains and ends instead of running on unnoticed.
 */
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
