export type { JobContext } from './runner/context';
export {
  Client,
  type AttemptView,
  type ClientOptions,
  type CreateOptions,
  type EventFilter,
  type JobListPage,
  type LogLineView,
  type LogPage,
} from './client/client';
export type { ConnectionOptions } from './transport/config';
export {
  defineJob,
  type JobDefaults,
  type JobDefinition,
  type JobDefinitionOptions,
  type JobOf,
} from './client/define-job';
export {
  AttemptAbortedError,
  AttemptCancelledError,
  AttemptTimeoutError,
  BatonError,
  ConfigurationError,
  JobCancelledError,
  JobFailedError,
  LeaseLostError,
  NonRetryableError,
  RetryAfterError,
  RunnerStoppingError,
  SnoozeError,
  SuspendError,
} from './transport/errors';
export type { Handler, HandlerHooks, HandlerObject, NextTry } from './runner/handler';
export type { ManyHandler, ManyJob, ManyOptions } from './runner/handle-many';
export { stderrLogger, type Logger, type LogThreshold } from './runner/logger';
export type { EventStreamOptions } from './client/event-stream';
export type { ClientEvent } from './client/follow';
export type { All, Bulk, BulkInBackground, Filter, Page } from './client/filters';
export type { AuditPage, JobTypePage, RunnerPage } from './client/operations';
export type { AlertPage } from './client/alerts';
export type { ApiKeyPage } from './client/api-keys';
export type { AddOptions, BatchFilter, BatchOptions, BatchPage, SplitOptions } from './client/batches';
export type { DeadLetterFilter, DeadLetterPage } from './client/dead-letters';
export type { ScheduleFilter, ScheduleOptions, SchedulePage, TickPage } from './client/schedules';
export type {
  ChainStep,
  GateOptions,
  StepOptions,
  WorkflowBuilder,
  WorkflowFilter,
  WorkflowOptions,
  WorkflowPage,
  WorkflowStep,
} from './client/workflows';
export type { DeliveryPage, WebhookPage } from './client/webhooks';
export type {
  Alert,
  Analytics,
  ApiKey,
  AuditEntry,
  Batch,
  BatchResult,
  BulkOperation,
  CreatedBatch,
  DeadLetter,
  DeadLetterGroup,
  Delivery,
  Explanation,
  Health,
  Job,
  JobError,
  JobEvent,
  JobStatus,
  JobType,
  Json,
  JsonSchema,
  Labels,
  LogLevel,
  Notice,
  ObjectReference,
  Queue,
  RateLimits,
  RetryPolicy,
  RunnerView,
  Scale,
  Schedule,
  ScheduleTick,
  SetQueue,
  Stats,
  SystemReport,
  TypeSchemas,
  Webhook,
  Workflow,
  WorkflowNode,
  WorkflowSummary,
} from './protocol';
export { Runner, type RunnerOptions } from './runner/runner';
export type { Concurrency } from './runner/slot-pool';
export { SDK_VERSION } from './transport/version';
export type { WaitOptions } from './client/wait';
