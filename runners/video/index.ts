#!/usr/bin/env node
import { findTool, SettingsError, startRunner } from '@baton/runner-kit';
import { renderComposition } from './composition';
import { compositionRender, videoProcessing, videoThumbnails } from './jobs';
import { videoSettings } from './settings';
import { takeThumbnails } from './thumbnails';
import { transcode } from './transcode';

startRunner({
  name: 'video',
  settings: videoSettings,
  prefix: 'VIDEO_',
  // ffmpeg takes all cores for one job.
  concurrency: 1,
  prepare: async (kit, settings) => {
    const ffmpeg = await findTool('ffmpeg', ['-version'], /ffmpeg version n?(\d+\.\d+)/);
    const ffprobe = await findTool('ffprobe', ['-version'], /ffprobe version n?(\d+\.\d+)/);
    if (ffmpeg === null || ffprobe === null)
      throw new SettingsError(
        `${ffmpeg === null ? 'ffmpeg' : 'ffprobe'} is not there; install it, such as by apt-get install ffmpeg`,
      );
    kit.label({ ffmpeg: ffmpeg.version });
    const tools = {
      ...{ storage: kit.storage, work: kit.work, speed: settings.VIDEO_SPEED },
      limits: {
        seconds: settings.VIDEO_MOST_SECONDS,
        bytes: settings.VIDEO_MOST_MB * 1024 * 1024,
        pixels: settings.VIDEO_MOST_MEGAPIXELS * 1_000_000,
        memoryBytes: settings.VIDEO_MOST_MEMORY_MB * 1024 * 1024,
      },
    };
    kit.handle(videoProcessing, (args, job) => transcode(args, tools, job));
    kit.handle(videoThumbnails, (args, job) => takeThumbnails(args, tools, job));
    kit.handle(compositionRender, (args, job) => renderComposition(args, tools, job));
  },
});
