import type { JobError } from '@baton/runner-sdk/protocol';
import { CopyIcon } from '../../parts/copy';
import { visible } from '../../parts/format';
import classes from './job.module.css';

export function ErrorText({ error }: { error: JobError }) {
  return (
    <div className={classes.error}>
      <div className={classes.errorHead}>
        <strong>{visible(error.message)}</strong>
        <CopyIcon text={() => JSON.stringify(error, null, 2)} label="Copy the error" />
      </div>
      {(error.code !== undefined || error.retryable === false) && (
        <div className={classes.quiet}>
          {error.code !== undefined && (
            <>
              code <code>{visible(error.code)}</code>
            </>
          )}
          {error.retryable === false && ' · the runner asked for no further attempt'}
        </div>
      )}
      {error.stack !== undefined && (
        <pre className={classes.stackTrace} tabIndex={0} role="region" aria-label="Stack trace">
          {visible(error.stack)}
        </pre>
      )}
    </div>
  );
}
