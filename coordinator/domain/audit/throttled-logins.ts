import type { Context } from '../../context';
import { describeError } from '../../logger';
import type { Actor } from '../auth/caller';
import { record } from './record';

/** Bad credentials come in large numbers, so one audit entry a minute and source reports them. */
export async function reportThrottledLogins(context: Context, source: string): Promise<void> {
  context.log.warn('too many bad credentials; their source is throttled', { source });
  try {
    const nobody: Actor = { keyId: '', keyName: '', role: 'none', userId: null, address: source, requestId: '' };
    await record(context.db, nobody, [{ action: 'login.failed', target: source }]);
  } catch (error) {
    context.log.warn('failed logins were not written down', describeError(error));
  }
}
