import { z } from 'zod';
import { checkTogether, jobArguments, jobError, jobFields, jobStatus, waitMs } from './jobs';
import { payloadObject } from './payload';
import { id, listOf, page, repeatable, text, timestamp } from './primitives';

/** Most jobs of one batch, and most jobs that one call adds. */
export const MOST_BATCH_JOBS = 100_000;
const MOST_JOBS_A_CALL = 1000;
/** Most jobs that one call splits a list into. */
export const MOST_PARTS = 1000;

export const batchStatus = z.enum(['open', 'running', 'completed', 'failed', 'cancelled']);
export type BatchStatus = z.infer<typeof batchStatus>;

export const batchCallback = z.enum(['onSuccess', 'onFailure', 'onComplete']);
export type BatchCallback = z.infer<typeof batchCallback>;

/** A job that the end of a batch creates. Its arguments are an object, to which `batch` is added. */
export const callbackJob = z.strictObject(jobFields).superRefine((job, context) => {
  checkTogether(job, context);
  const { arguments: own = {} } = job;
  if (typeof own !== 'object' || own === null || Array.isArray(own))
    context.addIssue({ code: 'custom', path: ['arguments'], message: 'must be an object, which `batch` is added to' });
  else if ('batch' in own)
    context.addIssue({
      code: 'custom',
      path: ['arguments', 'batch'],
      message: 'must be left out: the end of the batch puts its id, name and counts there',
    });
});

const callbacks = {
  onSuccess: callbackJob
    .optional()
    .describe(
      'A job that is created once, when all jobs have completed. Its `arguments.batch` is `{id, name, counts}`.',
    ),
  onFailure: callbackJob
    .optional()
    .describe('A job that is created once, when all jobs have ended and at least one did not complete.'),
  onComplete: callbackJob
    .optional()
    .describe('A job that is created once, when all jobs have ended, however they did.'),
};

const about = {
  name: text(200).optional().describe('What the batch is called; it need not be unique.'),
  metadata: payloadObject.optional().describe('A JSON object of your own, kept with the batch.'),
  userId: text(200)
    .optional()
    .describe('The user that the batch belongs to. A key of role `user` may only name its own user.'),
};

export const createBatch = z.strictObject({
  ...about,
  jobs: z
    .array(z.unknown())
    .max(MOST_JOBS_A_CALL)
    .default([])
    .describe('The first jobs of the batch, as `POST /jobs` takes them. All are created, or nothing is.'),
  sealed: z
    .boolean()
    .default(true)
    .describe('If false, jobs can be added until the batch is sealed; until then it does not end.'),
  ...callbacks,
});
export type CreateBatch = z.input<typeof createBatch>;
export type NewBatch = z.infer<typeof createBatch>;

export const addBatchJobs = z.strictObject({
  jobs: z
    .array(z.unknown())
    .min(1)
    .max(MOST_JOBS_A_CALL)
    .describe('The jobs to add, as `POST /jobs` takes them. All are created, or none.'),
});

const { uniqueKey: _uniqueKey, uniqueForMs: _uniqueForMs, onConflict: _onConflict, ...partFields } = jobFields;

/** Other values were already refused, but are still passed here. */
function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Splits `items` into jobs of `batchSize`; everything else is as in `POST /jobs`, and the same for all of them. */
export const splitJob = z
  .strictObject({
    ...partFields,
    items: z.array(jobArguments.nullable()).max(1_000_000).describe('The list to cut into parts, in its order.'),
    batchSize: z.int().min(1).max(100_000).describe('How many items each job gets; the last may get fewer.'),
    arguments: payloadObject
      .refine(
        (own) => !isObject(own) || !('items' in own || 'index' in own),
        'must not have items and index, which each part gets beside the rest',
      )
      .optional()
      .describe('A JSON object for all parts; each gets its `items` and `index` beside it.'),
    name: about.name,
    ...callbacks,
  })
  .superRefine((sent, context) => {
    checkTogether(sent, context);
    const { items, batchSize } = sent;
    const parts = Math.ceil(items.length / batchSize);
    if (parts > MOST_PARTS)
      context.addIssue({
        code: 'custom',
        path: ['batchSize'],
        message: `makes ${parts} jobs of ${items.length} items, of at most ${MOST_PARTS}; take at least ${Math.ceil(items.length / MOST_PARTS)}`,
      });
  });
export type SplitJob = z.infer<typeof splitJob>;

const count = (what: string) => z.int().describe(`Number of jobs that ${what}.`);
export const batchCounts = z.object({
  total: count('belong to the batch'),
  blocked: count('wait for other jobs'),
  pending: count('wait for their time or for a runner'),
  running: count('are running'),
  completed: count('have completed'),
  failed: count('failed for good'),
  cancelled: count('were cancelled'),
});
export type BatchCounts = z.infer<typeof batchCounts>;

const callbackError = z.object({
  code: z.string().describe('A stable code for the fault.'),
  message: z.string().describe('The fault in words.'),
});

function byKind<Value extends z.ZodType>(value: Value) {
  return {
    onSuccess: value.optional().describe('Of `onSuccess`; absent: there is none.'),
    onFailure: value.optional().describe('Of `onFailure`; absent: there is none.'),
    onComplete: value.optional().describe('Of `onComplete`; absent: there is none.'),
  };
}

export const batch = z.object({
  id: id.describe('Id of the batch (UUIDv7).'),
  name: z.string().nullable().describe('What it is called; null: it has no name.'),
  status: batchStatus.describe(
    '`open`: jobs can be added. `running`: sealed, and not all jobs have ended. `completed`: all jobs have completed. `failed`: all have ended, and one failed. `cancelled`: it was cancelled, or some of its jobs were and none failed.',
  ),
  sealed: z.boolean().describe('Whether no more jobs can be added.'),
  counts: batchCounts.describe('Its jobs by status.'),
  percent: z.number().describe('How many of its jobs have ended, from 0 to 100; of an empty one that has ended, 100.'),
  callbacks: z
    .object(byKind(id.nullable()))
    .describe('The jobs that its end creates, by their kind: the id; null: not created so far.'),
  callbackErrors: z
    .object(byKind(callbackError))
    .describe('Why callback jobs could not be created; those are not tried again.'),
  userId: z.string().nullable().describe('The user that it belongs to; null: none.'),
  metadata: z.record(z.string(), z.unknown()).nullable().describe("A JSON object of the creator's own; null: none."),
  reason: z.string().nullable().describe('Why it was cancelled; null: it was not, or no reason was given.'),
  createdAt: timestamp.describe('When it was created.'),
  sealedAt: timestamp.nullable().describe('When it was sealed; null: it is open.'),
  finishedAt: timestamp.nullable().describe('When all its jobs had ended; null: they have not.'),
});
export type Batch = z.infer<typeof batch>;
export const batchList = listOf(batch);

const jobIds = z
  .array(id)
  .describe('The jobs in the order of the request; of one whose unique key is taken, the job that holds it.');
export const createdBatch = batch.extend({ jobIds });
export type CreatedBatch = z.infer<typeof createdBatch>;

export const listBatchesQuery = z.strictObject({
  status: repeatable(batchStatus).optional().describe('Only batches with this status. May be repeated.'),
  name: repeatable(text(200)).optional().describe('Only batches with this name. May be repeated.'),
  userId: repeatable(text(200)).optional().describe('Only batches of this user. May be repeated.'),
  ...page,
});

export const cancelBatch = z.strictObject({
  reason: text(500).optional().describe('Why it is cancelled; kept with the batch and its jobs.'),
});

export const retryBatch = z.strictObject({
  background: z
    .boolean()
    .optional()
    .describe('Whether the retry goes on in the background; default: if more than 1,000 jobs have failed.'),
});

export const retriedBatch = batch.extend({
  retried: z.int().nullable().describe('How many jobs were started again; null: it goes on in the background.'),
});

export const waitBatchQuery = z.strictObject({
  waitMs: waitMs.default(30_000).describe('How long to wait for the end of the batch, in milliseconds.'),
});

export const batchResult = z.object({
  jobId: id.describe('Id of the job.'),
  index: z.int().nullable().describe('Of a list that was cut into parts, the number of the part, from 0; null: none.'),
  status: jobStatus.describe('The status of the job.'),
  result: z.unknown().describe('What its handler returned; null: nothing, or it has not completed.'),
  error: jobError.nullable().describe('What its latest failed attempt failed with; null: none failed.'),
});
export type BatchResult = z.infer<typeof batchResult>;
export const batchResultList = listOf(batchResult);
export const listResultsQuery = z.strictObject(page);
