export type { JobContext } from './context';
export {
  Client,
  type AttemptView,
  type ClientOptions,
  type CreateOptions,
  type EventFilter,
  type JobListPage,
  type LogLineView,
  type LogPage,
} from './client';
export type { ConnectionOptions } from './config';
export { defineJob, type JobDefaults, type JobDefinition, type JobDefinitionOptions, type JobOf } from './define-job';
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
} from './errors';
export type { Handler, HandlerHooks, HandlerObject, NextTry } from './handler';
export { stderrLogger, type Logger, type LogThreshold } from './logger';
export type { EventStreamOptions } from './event-stream';
export type { ClientEvent } from './follow';
export type { All, Bulk, BulkInBackground, Filter, Page } from './filters';
export type { AuditPage, RunnerPage } from './operations';
export type { AlertPage } from './resources/alerts';
export type { ApiKeyPage } from './resources/api-keys';
export type { DeadLetterFilter, DeadLetterPage } from './resources/dead-letters';
export type { DeliveryPage, WebhookPage } from './resources/webhooks';
export type {
  Alert,
  Analytics,
  ApiKey,
  AuditEntry,
  BulkOperation,
  DeadLetter,
  DeadLetterGroup,
  Delivery,
  Explanation,
  Health,
  Job,
  JobError,
  JobEvent,
  JobStatus,
  Json,
  Labels,
  LogLevel,
  Notice,
  Queue,
  RateLimits,
  RetryPolicy,
  RunnerView,
  Scale,
  SetQueue,
  Stats,
  Webhook,
} from './protocol';
export { Runner, type RunnerOptions } from './runner';
export type { Concurrency } from './slot-pool';
export { SDK_VERSION } from './version';
export type { WaitOptions } from './wait';
