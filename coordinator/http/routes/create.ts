import * as protocol from '@baton/runner-sdk/protocol';
import { type CreateItem, createAtomic } from '../../domain/jobs/create';
import type { Created } from '../../domain/jobs/candidates/job-candidate';
import { notesOn } from '../../domain/insight/notes';
import { BatonError } from '../../errors';
import { mapInTurns } from '../../turns';
import type { JobRow } from '../../store/jobs';
import { createdText } from '../render/created-text';
import type { Services } from '../core/services';
import { CLIENTS, endpoint, reply, type Reply, replyText } from '../core/endpoint';
import { listText, toJson } from '../core/json';
import { invalid, missing, orThrow } from '../core/problem';
import { renderJob } from '../render/jobs';
import { readTrace } from '../core/trace-headers';

const CREATES = { none: 'jobs themselves tell when they were created, and for whom' };

export const createEndpoints = [
  endpoint({
    method: 'post',
    path: '/jobs',
    scope: 'kept',
    summary: 'Create a job',
    roles: CLIENTS,
    headers: {
      'Idempotency-Key':
        'A key of your own for this request, 1 to 255 visible ASCII characters. Repeating the request with the same key and body returns the first job instead of creating a second one; another body is refused with `idempotency_conflict`.',
      Traceparent:
        'W3C trace context of the request. The runner receives it with the job; `Tracestate` is passed on too.',
    },
    body: protocol.createJob,
    takes: 'job',
    audit: CREATES,
    replies: { 201: protocol.createdJob, 200: protocol.createdJob },
    replyHeaders: {
      'Baton-Deduplicated': '`true` if a job with the same `uniqueKey` already existed; the answer is that job.',
    },
    async run({ services, caller, body, header }) {
      const idempotencyKey = readIdempotencyKey(header('idempotency-key'));
      const trace = readTrace(header('traceparent'), header('tracestate'));
      const [created] = await traced(services, [{ caller, job: body, idempotencyKey, trace }], services.create);
      const { job, as } = orThrow(created);
      if (as === 'created') return replyText(201, notedText(services, job));
      return reply(200, noted(services, job), as === 'deduplicated' ? { 'Baton-Deduplicated': 'true' } : {});
    },
  }),
  endpoint({
    method: 'post',
    path: '/jobs/bulk',
    scope: 'kept',
    summary: 'Create up to 1,000 jobs, all or none, or each on its own',
    roles: CLIENTS,
    headers: {
      'Idempotency-Key':
        'A key of your own for this request, for calls with `atomic: true`. Repeating it with the same key and body returns the same jobs with 200. The jobs must not have an `idempotencyKey` of their own.',
      Traceparent: 'W3C trace context, for jobs that have no `traceparent` of their own.',
    },
    body: protocol.createJobs,
    takes: 'list',
    audit: CREATES,
    replies: { 201: protocol.createdJobs, 200: protocol.createdJobs },
    async run({ services, caller, body, header }) {
      const key = readIdempotencyKey(header('idempotency-key'));
      const read = await mapInTurns(body.jobs, (job) => protocol.bulkJob.safeParse(job));
      if (key !== undefined)
        requireOneKey(
          body.atomic,
          read.map((one) => one.data?.idempotencyKey),
        );
      const own = readTrace(header('traceparent'), header('tracestate'));
      const items = read.map((one, index): CreateItem | BatonError => {
        if (!one.success) return invalid('job', protocol.bulkJob, body.jobs[index], one.error);
        const { idempotencyKey, traceparent, tracestate, ...job } = one.data;
        return { caller, job, idempotencyKey, trace: readTrace(traceparent, tracestate) ?? own };
      });
      if (body.atomic) {
        const created = await traced(services, allOrThrow(items), (all) =>
          createAtomic(services.context, all, (jobs) => services.dispatcher.reserve(jobs), key),
        );
        return replyCreated(
          services,
          created,
          key !== undefined && created.every(({ as }) => as === 'repeated') ? 200 : 201,
        );
      }
      const good = items.filter((item): item is CreateItem => !(item instanceof BatonError));
      const outcomes = good.length === 0 ? [] : await traced(services, good, services.create);
      let next = 0;
      return replyCreated(
        services,
        items.map((item) => (item instanceof BatonError ? item : (outcomes[next++] ?? missing()))),
      );
    },
  }),
];

function traced<Made>(
  services: Services,
  items: CreateItem[],
  make: (items: CreateItem[]) => Promise<Made>,
): Promise<Made> {
  return services.tracing === null ? make(items) : services.tracing.creating(items, make);
}

export function readIdempotencyKey(sent: string | undefined): string | undefined {
  if (sent === undefined) return undefined;
  const read = protocol.idempotencyKey.safeParse(sent);
  if (!read.success) throw invalid('header Idempotency-Key', protocol.idempotencyKey, sent, read.error);
  return read.data;
}

/** Either the call has a key, or its jobs have keys. */
function requireOneKey(atomic: boolean, own: (string | undefined)[]): void {
  if (!atomic) {
    const message =
      'stands for a call that is all or none; with atomic: false give each job an idempotencyKey of its own';
    throw new BatonError('validation_failed', `The header Idempotency-Key ${message}.`, {
      errors: [{ path: 'header Idempotency-Key', message }],
    });
  }
  const errors = own.flatMap((key, index) =>
    key === undefined
      ? []
      : [
          {
            path: `jobs.${index}.idempotencyKey`,
            message: 'must be left out when the call has the header Idempotency-Key',
          },
        ],
  );
  const [first] = errors;
  if (first !== undefined)
    throw new BatonError('validation_failed', `Nothing was created: ${first.path} ${first.message}.`, {
      errors: errors.slice(0, 50),
    });
}

/** For an atomic call: reports the faults of all jobs at once. */
export function allOrThrow(items: (CreateItem | BatonError)[]): CreateItem[] {
  const errors = items.flatMap((item, index) =>
    item instanceof BatonError
      ? (item.errors ?? []).map(({ path, message }) => ({
          path: ['jobs', index, path].filter((part) => part !== '').join('.'),
          message,
        }))
      : [],
  );
  if (errors.length > 0) {
    const [first] = errors;
    throw new BatonError('validation_failed', `Nothing was created: ${first?.path} ${first?.message}.`, {
      errors: errors.slice(0, 50),
    });
  }
  return items.filter((item): item is CreateItem => !(item instanceof BatonError));
}

async function replyCreated(services: Services, outcomes: (Created | BatonError)[], status = 201): Promise<Reply> {
  const texts = await mapInTurns(outcomes, (outcome) => outcomeText(services, outcome));
  return replyText(status, listText('{"jobs":', texts, '}'));
}

function outcomeText(services: Services, outcome: Created | BatonError): string {
  if (outcome instanceof BatonError) return toJson(outcome.toItem());
  return outcome.as === 'created' ? notedText(services, outcome.job) : toJson(noted(services, outcome.job));
}

function noted(services: Services, job: JobRow & { omitted?: protocol.ListedJob['omitted'] }): protocol.CreatedJob {
  const notes = notesOn(services.context, job);
  const { omitted = [] } = job;
  const told = omitted.length === 0 ? renderJob(job) : { ...renderJob(job), omitted };
  return notes.length === 0 ? told : { ...told, notes };
}

/** The same for a job that was just created. */
function notedText(services: Services, job: JobRow): string {
  const notes = notesOn(services.context, job);
  const text = isRelated(job) ? toJson(renderJob(job)) : createdText(job);
  return notes.length === 0 ? text : `${text.slice(0, -1)},"notes":${JSON.stringify(notes)}}`;
}

/** Whether it has parents or a group; such jobs are not rendered as text. */
function isRelated({ dependsOn, workflowId }: Nullable<JobRow>): boolean {
  return dependsOn !== null || workflowId !== null;
}

type Nullable<Row> = { [Name in keyof Row]: Row[Name] | null };
