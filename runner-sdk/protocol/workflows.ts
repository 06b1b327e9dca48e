import { z } from 'zod';
import { checkTogether, idempotencyKey, jobFields, jobStatus } from './jobs';
import { payload } from './payload';
import { durationMs, id, listOf, name, page, repeatable, text, timestamp } from './primitives';

/** Most jobs of one workflow, including those added later. */
export const MOST_WORKFLOW_JOBS = 10_000;
/** Most dependencies in one call. */
export const MOST_WORKFLOW_EDGES = 100_000;

/** The name of a job within its workflow. */
export const workflowKey = name;

const dependencyFields = {
  dependsOn: z
    .array(workflowKey)
    .max(1000)
    .optional()
    .describe('Keys of the jobs and gates of the workflow that must end before, at most 1,000.'),
  onDependencyFailure: z
    .enum(['cancel', 'run'])
    .optional()
    .describe(
      'If one of them fails, is cancelled or is refused: `cancel` (the default) cancels this one at once, `run` goes on when all have ended, however they ended.',
    ),
};

/** The workflow has the user, not its jobs. */
const { userId: _userId, ...nodeFields } = jobFields;
export const workflowJob = z
  .strictObject({ ...nodeFields, ...dependencyFields })
  .superRefine(checkTogether)
  .describe('A job of the workflow: as in `POST /jobs`, but with keys in `dependsOn`.');
export type WorkflowJob = z.infer<typeof workflowJob>;
export type CreateWorkflowJob = z.input<typeof workflowJob>;

export const gate = z
  .strictObject({
    gate: z
      .strictObject({
        expiresInMs: durationMs(1)
          .optional()
          .describe(
            'If nobody decides so long after the gate began to wait, it is cancelled with the reason `expired`, in milliseconds. Default: never.',
          ),
      })
      .describe('Marks it as a gate: nobody runs it; it waits until somebody opens or refuses it.'),
    ...dependencyFields,
  })
  .refine(({ dependsOn = [], onDependencyFailure }) => onDependencyFailure === undefined || dependsOn.length > 0, {
    path: ['onDependencyFailure'],
    message: 'needs dependsOn',
  })
  .describe('A gate: an approval, or any other decision, that the jobs after it wait for.');
export type Gate = z.infer<typeof gate>;

/** The value of a key of a workflow in a request. */
export const workflowPart = z.union([workflowJob, gate]);

const jobs = z
  .record(workflowKey, z.unknown())
  .refine((all) => Object.keys(all).length > 0, 'must have at least one job or gate')
  .describe('The jobs and gates of the workflow by their keys, names of your own; at most 10,000.');

export const createWorkflow = z.strictObject({
  name: name.describe('What kind of workflow it is; need not be unique.'),
  jobs,
  userId: text(200)
    .optional()
    .describe('The user that the workflow and its jobs belong to. A key of role `user` may only name its own user.'),
  idempotencyKey: idempotencyKey
    .optional()
    .describe(
      'A key of your own for this call. The same call again returns the first workflow instead of creating a second one; another one is refused with `idempotency_conflict`.',
    ),
});
export type CreateWorkflow = Omit<z.input<typeof createWorkflow>, 'jobs'> & {
  jobs: Record<string, CreateWorkflowJob | z.input<typeof gate>>;
};

/** Existing keys are left unchanged, so that a handler may repeat its call. */
export const addWorkflowJobs = z.strictObject({ jobs });
export type AddWorkflowJobs = { jobs: CreateWorkflow['jobs'] };

export const workflowStatus = z.enum(['running', 'completed', 'failed', 'cancelled']);
export type WorkflowStatus = z.infer<typeof workflowStatus>;

export const workflowCounts = z.object({
  total: z.int().describe('Number of jobs and gates of the workflow.'),
  ...Object.fromEntries(
    jobStatus.options.map((status) => [status, z.int().describe(`How many of them are ${status}.`)]),
  ),
}) as z.ZodObject<Record<'total' | z.infer<typeof jobStatus>, z.ZodInt>>;

const summary = {
  id: id.describe('Id of the workflow (UUIDv7).'),
  name: z.string().describe('What kind of workflow it is.'),
  userId: z.string().nullable().describe('The user that the workflow belongs to; null: none.'),
  status: workflowStatus.describe(
    'Follows from its jobs: `running` while one is unfinished, then `failed` if one failed, else `cancelled` if one was cancelled, else `completed`.',
  ),
  counts: workflowCounts.describe('How many of its jobs have which status.'),
  createdAt: timestamp.describe('When the workflow was created.'),
  finishedAt: timestamp.nullable().describe('When its last job finished; null: it runs.'),
};
export const workflowSummary = z.object(summary);
export type WorkflowSummary = z.infer<typeof workflowSummary>;

export const workflowNode = z.object({
  id: id.describe('Id of the job.'),
  type: z.string().describe('The job type; of a gate, `gate`.'),
  status: jobStatus.describe('Status of the job. A gate is `blocked`, then `completed` (opened) or `cancelled`.'),
  dependsOn: z.array(z.string()).describe('Keys of the jobs and gates that it waits for, or waited for.'),
  gate: z
    .object({
      waiting: z.boolean().describe('Whether it can be opened or refused now: all that it waits for have ended.'),
      expiresAt: timestamp.nullable().describe('When it is cancelled unless somebody decides; null: never.'),
    })
    .optional()
    .describe('Of a gate: whether somebody is to decide. Absent: it is a job.'),
});
export type WorkflowNode = z.infer<typeof workflowNode>;
export const workflow = z.object({
  ...summary,
  jobs: z.record(z.string(), workflowNode).describe('Its jobs and gates by their keys.'),
});
export type Workflow = z.infer<typeof workflow>;
export const workflowList = listOf(workflowSummary);

export const listWorkflowsQuery = z.strictObject({
  ...page,
  name: repeatable(name).optional().describe('Only workflows with this name. May be repeated.'),
  status: repeatable(workflowStatus).optional().describe('Only workflows with this status. May be repeated.'),
  userId: repeatable(text(200)).optional().describe('Only workflows of this user. May be repeated.'),
  createdAfter: timestamp.optional().describe('Only workflows created after this time.'),
  createdBefore: timestamp.optional().describe('Only workflows created before this time.'),
  gate: z
    .literal('waiting')
    .optional()
    .describe('`waiting`: only workflows with a gate that can be opened or refused now.'),
});

export const cancelWorkflow = z.strictObject({
  key: workflowKey
    .optional()
    .describe('Cancels this job and all that come after it; default: all jobs of the workflow.'),
  reason: text(500).optional().describe('Why it is cancelled; stored with the jobs.'),
});

export const gateOutcome = z.enum(['opened', 'refused']);
export type GateOutcome = z.infer<typeof gateOutcome>;
export const decideGate = z.strictObject({
  outcome: gateOutcome.describe(
    '`opened`: what comes after it goes on. `refused`: it counts as cancelled, and so do those that depend on it.',
  ),
  result: payload
    .optional()
    .describe('With `opened`: any JSON, which those that depend on the gate receive as its result.'),
});
export type DecideGate = z.input<typeof decideGate>;

export const linkGate = z.strictObject({
  outcome: gateOutcome.optional().describe('What the link may be used for; default: both, as whoever has it chooses.'),
  expiresInMs: durationMs(1, 365 * 86_400_000)
    .default(7 * 86_400_000)
    .describe('How long the link can be used, in milliseconds; default: 7 days.'),
});
export const gateLink = z.object({
  url: z
    .string()
    .describe(
      'Whoever has it can decide the gate, without a key: a page, or a `POST` with `?outcome=`. Reading it changes nothing.',
    ),
  expiresAt: timestamp.describe('Until when it can be used.'),
});
export type GateLink = z.infer<typeof gateLink>;

export const waitWorkflowQuery = z.strictObject({
  waitMs: z.coerce
    .number()
    .int()
    .min(0)
    .max(50_000)
    .default(0)
    .describe('How long to wait for the end of the workflow, in milliseconds.'),
});

/** The query of a link to a gate. */
export const gateLinkQuery = z.strictObject({
  for: gateOutcome.optional().describe('What the link may be used for; absent: both.'),
  until: z.coerce.number().int().min(0).describe('Until when the link can be used, in milliseconds since 1970.'),
  signature: text(100).describe('Proves that the link was made by the coordinator.'),
});
export const decideLinkQuery = gateLinkQuery.extend({
  outcome: gateOutcome.describe('`opened` or `refused`.'),
});
export const linkedGate = z.object({
  workflow: z
    .object({
      id: id.describe('Id of the workflow.'),
      name: z.string().describe('What kind of workflow it is.'),
      status: workflowStatus.describe('Status of the workflow.'),
    })
    .describe('The workflow of the gate.'),
  key: z.string().describe('The key of the gate in its workflow.'),
  state: z
    .enum(['blocked', 'waiting', 'opened', 'refused', 'expired', 'cancelled'])
    .describe(
      '`waiting`: it can be decided. `blocked`: not yet, what it waits for has not ended. Otherwise what became of it.',
    ),
  expiresAt: timestamp.nullable().describe('When it is cancelled unless somebody decides; null: never.'),
});
export type LinkedGate = z.infer<typeof linkedGate>;
