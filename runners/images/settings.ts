import { setting } from '@baton/runner-kit';

export const imagesSettings = {
  IMAGES_MOST_MEGAPIXELS: setting.wholeNumber(1, 1000).default(100),
  IMAGES_MOST_MB: setting.wholeNumber(1, 10_000).default(100),
};
