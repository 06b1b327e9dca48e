import { setting } from '@baton/runner-kit';

const SPEEDS = ['ultrafast', 'veryfast', 'faster', 'fast', 'medium', 'slow'] as const;

export const videoSettings = {
  VIDEO_MOST_SECONDS: setting.wholeNumber(1, 86_400).default(14_400),
  VIDEO_MOST_MB: setting.wholeNumber(1, 1_000_000).default(20_000),
  VIDEO_MOST_MEGAPIXELS: setting.wholeNumber(1, 200).default(36),
  VIDEO_MOST_MEMORY_MB: setting.wholeNumber(64, 1_000_000).default(4096),
  VIDEO_SPEED: setting.oneOf(SPEEDS).default('medium'),
};
