import { Runner } from '@baton/runner-sdk';

/** The runner of `baton dev` where none is named, so that a first job can be seen to be done. */
const runner = new Runner();
runner.handle('HELLO', (args, job) => {
  job.progress(50, 'thinking of a greeting');
  const { name } = args as { name?: unknown };
  return { greeting: `Hello, ${typeof name === 'string' ? name : 'world'}!` };
});
void runner.start();
