import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { BatonError } from '../transport/errors';
import type { ApiRequest, Send } from '../transport/transport';
import type {
  CreateWorkflowJob,
  DecideGate,
  GateLink,
  GateOutcome,
  Workflow,
  workflowList,
  WorkflowNode,
  WorkflowStatus,
  WorkflowSummary,
} from '../protocol';
import { creationJson, definitionOf, given, settingsJson } from './creation';
import { assertArguments, type JobDefinition } from './define-job';
import { assertStrict, type Page } from './filters';
import type { InputOf, Schema } from './schema';

export type WorkflowPage = z.infer<typeof workflowList>;
export interface WorkflowFilter {
  status?: WorkflowStatus | readonly WorkflowStatus[] | undefined;
  name?: string | readonly string[] | undefined;
  userId?: string | readonly string[] | undefined;
}

declare const RESULT: unique symbol;

/** A job or gate of a workflow under construction, which later steps may depend on. */
export interface WorkflowStep<Result extends Schema = Schema> {
  /** Its name in the workflow, and in the `dependencies` of later steps. */
  readonly key: string;
  readonly [RESULT]?: Result;
}

interface Order {
  /** Steps that must end before; their results are passed to this one. */
  after?: readonly WorkflowStep[] | undefined;
  /** What happens if one of them fails or is cancelled: `cancel`, the default, or `run`. */
  onDependencyFailure?: 'cancel' | 'run' | undefined;
}

/** Other fields of a create, its dependencies, and its key; default: its type, with a number if that is taken. */
export interface StepOptions
  extends Omit<CreateWorkflowJob, 'type' | 'arguments' | 'dependsOn' | 'onDependencyFailure'>, Order {
  key?: string | undefined;
}

export interface GateOptions extends Order {
  /** Cancels the gate if it is not decided within this time after it began to wait, in milliseconds. Default: never. */
  expiresInMs?: number | undefined;
}

/** Arguments may be left out if the definition allows that. */
type StepRest<Arguments extends Schema> =
  undefined extends InputOf<Arguments>
    ? [args?: InputOf<Arguments>, options?: StepOptions]
    : [args: InputOf<Arguments>, options?: StepOptions];

/** Collects the jobs and gates of a workflow. Nothing is sent before the function has returned. */
export interface WorkflowBuilder {
  add<Arguments extends Schema, Result extends Schema>(
    definition: JobDefinition<Arguments, Result>,
    ...rest: StepRest<Arguments>
  ): WorkflowStep<Result>;
  add(type: string, args?: unknown, options?: StepOptions): WorkflowStep;
  /** An existing job or gate of the workflow, by its key. */
  step(key: string): WorkflowStep;
  /** A node without a runner: it is opened or refused by a call, or by whoever has a link to it. */
  gate(key: string, options?: GateOptions): WorkflowStep;
}

export interface WorkflowOptions {
  /** The user that it belongs to. */
  userId?: string | undefined;
  /** A repeated call with the same key creates nothing twice. Default: random, for this call alone. */
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** One step of a chain: a definition, its arguments, and other fields of a create. */
export type ChainStep<Arguments extends Schema = Schema> = readonly [
  definition: JobDefinition<Arguments> | string,
  args?: InputOf<Arguments>,
  options?: Omit<StepOptions, 'after'>,
];

const WAIT_MS = 45_000;

/** Graphs of jobs that wait for each other and pass on their results. */
export class Workflows {
  constructor(private readonly send: Send) {}

  /** As `client.workflow`. */
  async create(
    name: string,
    build: (workflow: WorkflowBuilder) => unknown,
    options: WorkflowOptions = {},
  ): Promise<Workflow> {
    const { signal, idempotencyKey = randomUUID(), ...rest } = options;
    const about = JSON.stringify({ ...given(rest), name, idempotencyKey });
    return this.send(posted('/workflows', `${about.slice(0, -1)},"jobs":${await builtParts(build)}}`, signal));
  }

  /**
   * Adds to a running workflow; `after: [w.step(key)]` refers to an existing step. Existing keys are left unchanged.
   */
  async add(
    id: string,
    build: (workflow: WorkflowBuilder) => unknown,
    options: Pick<WorkflowOptions, 'signal'> = {},
  ): Promise<Workflow> {
    return this.send(posted(`${pathOf(id)}/jobs`, `{"jobs":${await builtParts(build)}}`, options.signal));
  }

  /** Throws `BatonError` `not_found`. */
  get(id: string): Promise<Workflow> {
    return this.send({ method: 'GET', path: pathOf(id) });
  }

  /** One page, newest first. */
  async list(filter: WorkflowFilter & Page = {}): Promise<WorkflowPage> {
    assertStrict('workflows.list', filter);
    return this.send({ method: 'GET', path: '/workflows', query: { ...filter } });
  }

  /** As `client.waitWorkflow`, without its jobs. */
  async wait(
    id: string,
    options: { timeoutMs?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<WorkflowSummary> {
    const { timeoutMs = Infinity, signal } = options;
    const until = performance.now() + timeoutMs;
    for (;;) {
      const waitMs = Math.max(0, Math.min(WAIT_MS, Math.ceil(until - performance.now())));
      const request: ApiRequest = { method: 'GET', path: `${pathOf(id)}/wait`, query: { waitMs }, waits: true };
      const workflow = await this.send<WorkflowSummary>({ ...request, ...(signal && { signal }) });
      if (workflow.status !== 'running') return workflow;
      if (until <= performance.now())
        throw new BatonError({
          code: 'wait_timeout',
          status: 0,
          detail: `the workflow ${id} has not ended within ${timeoutMs} ms`,
        });
    }
  }

  /**
   * Cancels its unfinished jobs; with a key, that step and all later ones. `BatonError` `state_conflict` when there are
   * none.
   */
  cancel(id: string, options: { key?: string | undefined; reason?: string | undefined } = {}): Promise<Workflow> {
    return this.send({ method: 'POST', path: `${pathOf(id)}/cancel`, body: given(options) });
  }

  /** Retries failed and cancelled jobs; completed ones are kept. */
  retry(id: string): Promise<Workflow> {
    return this.send({ method: 'POST', path: `${pathOf(id)}/retry` });
  }

  /**
   * Decides a gate. Repeating the same decision changes nothing; another one, or one too early or too late:
   * `BatonError` `state_conflict`.
   */
  decide(id: string, key: string, outcome: GateOutcome, result?: DecideGate['result']): Promise<WorkflowNode> {
    const body = { outcome, ...(result === undefined ? {} : { result }) };
    return this.send({ method: 'POST', path: gatePath(id, key), body });
  }

  /** A link by which whoever has it can decide the gate without a key. */
  link(
    id: string,
    key: string,
    options: { outcome?: GateOutcome | undefined; expiresInMs?: number | undefined } = {},
  ): Promise<GateLink> {
    return this.send({ method: 'POST', path: `${gatePath(id, key)}/link`, body: given(options) });
  }
}

/** Steps in sequence, each after the previous one. */
export function chained(steps: readonly ChainStep[]): (workflow: WorkflowBuilder) => void {
  return (workflow) => {
    let last: WorkflowStep | undefined;
    for (const [target, args, options] of steps) {
      const after = last === undefined ? {} : { after: [last] };
      last = (workflow as Builder).add(target, args, { ...options, ...after });
    }
  };
}

interface Part {
  definition: JobDefinition | null;
  args: unknown;
  fields: object;
}

class Builder implements WorkflowBuilder {
  readonly parts = new Map<string, Part>();

  add(target: string | JobDefinition, args?: unknown, options: StepOptions = {}): WorkflowStep {
    const definition = definitionOf(target);
    const { key = this.freeKey(definition.type), after, ...fields } = given(options);
    return this.put(key, { definition, args, fields: { ...fields, ...ordered(after) } });
  }

  step(key: string): WorkflowStep {
    return { key };
  }

  gate(key: string, { after, expiresInMs, ...fields }: GateOptions = {}): WorkflowStep {
    const gate = given({ expiresInMs });
    return this.put(key, { definition: null, args: undefined, fields: { ...given(fields), ...ordered(after), gate } });
  }

  private put(key: string, part: Part): WorkflowStep {
    if (this.parts.has(key)) throw refused(key, `is taken: each job and gate of a workflow has a key of its own`);
    this.parts.set(key, part);
    return { key };
  }

  private freeKey(type: string): string {
    let key = type;
    for (let nth = 2; this.parts.has(key); nth++) key = `${type}-${nth}`;
    return key;
  }
}

function ordered(after: readonly WorkflowStep[] | undefined): object {
  return after === undefined || after.length === 0 ? {} : { dependsOn: after.map(({ key }) => key) };
}

/** The parts by key, as JSON. Throws `BatonError` when arguments do not match; nothing is sent then. */
export async function builtParts(build: (workflow: WorkflowBuilder) => unknown): Promise<string> {
  const builder = new Builder();
  await build(builder);
  const texts: string[] = [];
  for (const [key, { definition, args, fields }] of builder.parts) {
    if (definition !== null) await assertArguments(definition, args);
    const json =
      definition === null ? JSON.stringify(fields) : creationJson(definition, args, settingsJson(definition, fields));
    texts.push(`${JSON.stringify(key)}:${json}`);
  }
  return `{${texts.join(',')}}`;
}

function refused(key: string, message: string): BatonError {
  return new BatonError({
    code: 'validation_failed',
    status: 0,
    detail: `the key ${key} ${message}; nothing was sent`,
    errors: [{ path: `jobs.${key}`, message }],
  });
}

function posted(path: string, json: string, signal: AbortSignal | undefined): ApiRequest {
  return { method: 'POST', path, json, ...(signal && { signal }) };
}

function pathOf(id: string): string {
  return `/workflows/${encodeURIComponent(id)}`;
}

function gatePath(id: string, key: string): string {
  return `${pathOf(id)}/gates/${encodeURIComponent(key)}`;
}
