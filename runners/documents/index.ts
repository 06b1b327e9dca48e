#!/usr/bin/env node
import { startRunner } from '@baton/runner-kit';
import { findChromium } from './chromium';
import { Documents } from './documents';
import { documentGeneration } from './jobs';
import { documentsSettings, isSandboxed } from './settings';

const MB = 1024 * 1024;

startRunner({
  name: 'documents',
  settings: documentsSettings,
  prefix: 'DOCUMENTS_',
  concurrency: 2,
  prepare: async (kit, settings) => {
    const chromium = await findChromium(settings.DOCUMENTS_CHROMIUM);
    kit.label({ chromium: chromium.version });
    const seconds = settings.DOCUMENTS_MOST_SECONDS;
    const documents = new Documents(
      kit,
      {
        ...{ program: chromium.path, isSandboxed: isSandboxed(settings.DOCUMENTS_SANDBOX) },
        limits: { seconds, memoryBytes: settings.DOCUMENTS_MOST_MEMORY_MB * MB },
      },
      { pages: settings.DOCUMENTS_MOST_PAGES, seconds, bytes: settings.DOCUMENTS_MOST_MB * MB },
    );
    kit.handle(documentGeneration, (args, job) => documents.generate(args, job));
  },
});
