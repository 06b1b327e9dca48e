import type { Events } from './domain/events/events';
import type { EventStream } from './domain/events/stream';
import type { Notifications } from './state/notifications';
import type { LaneCatalog } from './state/lanes';
import type { ReadyLanes } from './state/ready-lanes';
import type { QueueSettings } from './state/queue-settings';
import type { KeepMs } from './domain/retention/keeping';
import type { WaitingCounts } from './state/waiting-counts';
import type { PublishedTypes } from './state/published-types';
import type { RunnerRegistry } from './state/runner-registry';
import type { WorkQueue } from './state/work-queue';
import type { ObjectStore } from './domain/objects/object-store';
import type { WebhookSettings } from './domain/webhooks/settings';
import type { Logger } from './logger';
import type { JobIds } from './state/job-ids';
import type { Db } from './store/db';

/**
 * The first argument of every verb. The caller is part of each item of a verb's list, because a batch serves many
 * callers.
 */
export interface Context {
  db: Db;
  log: Logger;
  events: Events;
  /** The events of all coordinators, for listeners. */
  stream: EventStream;
  notifications: Notifications;
  lanes: LaneCatalog;
  readyLanes: ReadyLanes;
  queueSettings: QueueSettings;
  waitingCounts: WaitingCounts;
  runnerRegistry: RunnerRegistry;
  publishedTypes: PublishedTypes;
  followUps: FollowUps;
  jobIds: JobIds;
  maxPayloadBytes: number;
  /** Most log lines kept per job. */
  maxLogLines: number;
  /** How long finished jobs are kept if their queue sets nothing else. */
  keepMs: KeepMs;
  webhooks: WebhookSettings;
  /** Where large arguments and results are kept; null: nowhere. */
  objects: ObjectStore | null;
  /** Most schedules of one user. */
  maxSchedules: number;
  /** How long statistics are kept. */
  keepMetricsMs: number;
}

/** Follow-up work of ended jobs, by the ids of those that ended or whose last job may have ended. */
export interface FollowUps {
  /** Parents whose children are to be freed or cancelled. */
  dependants: WorkQueue;
  workflows: WorkQueue;
  batches: WorkQueue;
}
