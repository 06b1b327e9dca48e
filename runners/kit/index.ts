export { Cgroups } from './processes/cgroup';
export type { EndedBy, Ended, RunOptions } from './processes/run';
export { run } from './processes/run';
export { Figures, type JobEnd } from './figures';
export { HealthServer } from './health';
export { findTool, hostLabels, type Labels, type Tool } from './labels';
export { type KitSettings, kitSettings } from './kit-settings';
export { retryAfterMs } from './retry-after';
export {
  readSettings,
  type ReadSettingsOptions,
  setting,
  SettingsError,
  type SettingsOf,
  type SettingsShape,
  unquoted,
} from './settings';
export { type Kit, type RunnerDescription, startRunner } from './start';
export type { Listed, Opened, ReadOptions, Stat, WriteOptions } from './storage/backend';
export { shown } from './storage/location';
export { type Source, Storage } from './storage/storage';
export { storageSettings } from './storage/settings';
export { templateHelpers } from './template-helpers';
export { type WebhookEvent, WebhookReceiver, type WebhookReceiverOptions } from './webhook-receiver';
export { WorkFolders } from './work-folders';
