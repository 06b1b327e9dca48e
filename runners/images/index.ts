#!/usr/bin/env node
import { startRunner } from '@baton/runner-kit';
import sharp from 'sharp';
import { imageProcessing, thumbnailGeneration } from './jobs';
import { Images } from './images';
import { imagesSettings } from './settings';

startRunner({
  name: 'images',
  settings: imagesSettings,
  prefix: 'IMAGES_',
  concurrency: 2,
  prepare: (kit, settings) => {
    // Nothing is asked for twice, so that what was decoded is only memory.
    sharp.cache(false);
    kit.label({ sharp: sharp.versions.sharp ?? '', libvips: sharp.versions.vips });
    const images = new Images(kit, {
      mostPixels: settings.IMAGES_MOST_MEGAPIXELS * 1_000_000,
      mostBytes: settings.IMAGES_MOST_MB * 1024 * 1024,
    });
    kit.handle(thumbnailGeneration, (args, job) => images.thumbnails(args, job));
    kit.handle(imageProcessing, (args, job) => images.process(args, job));
  },
});
