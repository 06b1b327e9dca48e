import type { Events } from './domain/events/events';
import type { EventStream } from './domain/events/stream';
import type { Hints } from './domain/events/hints';
import type { HandOff } from './domain/jobs/hand-off';
import type { LaneCatalog } from './domain/jobs/lanes';
import type { ReadyLanes } from './domain/jobs/ready-lanes';
import type { QueueBook } from './domain/queues/queue-book';
import type { KeepMs } from './domain/retention/keeping';
import type { Roster } from './domain/runners/roster';
import type { WebhookSettings } from './domain/webhooks/settings';
import type { Logger } from './logger';
import type { Db } from './store/db';

/** What every verb is given first. Who asks stands on each item of its list, because one batch serves many callers. */
export interface Context {
  db: Db;
  log: Logger;
  events: Events;
  /** The events of all coordinators, for those who listen. */
  stream: EventStream;
  hints: Hints;
  lanes: LaneCatalog;
  ready: ReadyLanes;
  handOff: HandOff;
  queues: QueueBook;
  roster: Roster;
  maxPayloadBytes: number;
  /** The most log lines that are kept of one job. */
  maxLogLines: number;
  /** How long finished jobs are kept, where a queue sets nothing else. */
  keepMs: KeepMs;
  webhooks: WebhookSettings;
  /** How long figures are kept. */
  keepMetricsMs: number;
}
