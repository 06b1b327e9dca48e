import { randomUUID } from 'node:crypto';
import type { NewObject, ObjectDownload, ObjectUpload } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/objects/uses';
import * as views from '../../store/objects/read';
import { type Caller, visibleUser } from '../auth/caller';
import { covers, isScoped } from '../auth/scope';
import type { ObjectStore } from './object-store';

/** Reserves an object, and signs the address to which its content is sent. */
export async function reserveObject(context: Context, caller: Caller, asked: NewObject): Promise<ObjectUpload> {
  const objects = requireStore(context);
  const { maxBytes, signedMs } = objects.settings;
  if (asked.bytes > maxBytes)
    throw new BatonError('payload_too_large', `An object may have ${maxBytes} bytes (BATON_S3_MAX_BYTES).`, {
      errors: [{ path: 'bytes', message: `must be at most ${maxBytes}` }],
    });
  // Not a UUIDv7: whoever knows the id of one object must not guess that of the next.
  const id = randomUUID();
  await store.insert(context.db, { id, userId: visibleUser(caller), ...asked });
  const upload = await objects.signPut(id, asked.sha256);
  return {
    reference: { $object: { id, url: `/objects/${id}`, sha256: asked.sha256, bytes: asked.bytes } },
    upload: { method: 'PUT', url: upload.url, headers: upload.headers, validForMs: signedMs },
  };
}

/** Signs the address at which the content can be read. */
export async function readObject(context: Context, caller: Caller, id: string): Promise<ObjectDownload> {
  const objects = requireStore(context);
  const found = await views.find(context.db, id);
  if (found === undefined || !(await maySee(context, caller, found))) throw notFound();
  const { url } = await objects.signGet(id);
  return { url, sha256: found.sha256, bytes: Number(found.bytes), validForMs: objects.settings.signedMs };
}

/** Users see what they sent, and the objects of jobs that they see; keys with limits, those of jobs within them. */
async function maySee(context: Context, caller: Caller, { id, userId }: views.ObjectRow): Promise<boolean> {
  const own = visibleUser(caller);
  if (own === null && !isScoped(caller)) return true;
  if (own !== null && userId === own) return true;
  const jobs = await views.jobsOf(context.db, id);
  return jobs.some((job) => (own === null || job.userId === own) && covers(caller, job));
}

function requireStore({ objects }: Context): ObjectStore {
  if (objects !== null) return objects;
  throw new BatonError('not_found', 'This coordinator has no object store; BATON_S3_BUCKET would name one.');
}

function notFound(): BatonError {
  return new BatonError('not_found', 'There is no such object, or this key may not see it.');
}
