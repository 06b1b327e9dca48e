#!/usr/bin/env node
import { startRunner } from '@baton/runner-kit';
import { deleteRows } from './delete';
import { batchDelete, bulkExport, bulkUpload, dataImport, dataProcessing } from './jobs';
import { move, processRows } from './move';
import { dataSettings, isNamedSetting, readDatabases } from './settings';
import { uploadFiles } from './upload';

startRunner({
  name: 'data',
  settings: dataSettings,
  prefix: 'DATA_',
  isOtherSetting: isNamedSetting,
  concurrency: 2,
  prepare: (kit, settings) => {
    const rows = kit.figures.counter('data_rows_total', 'Rows by what became of them', ['type', 'outcome']);
    const tools = {
      ...{ storage: kit.storage, work: kit.work, databases: readDatabases(settings.DATA_TABLES) },
      mostSpillBytes: settings.DATA_MOST_SPILL_MB * 1024 * 1024,
      count: (type: string, outcome: string, count: number) => rows.inc({ type, outcome }, count),
    };
    kit.handle(dataImport, (args, job) => move(args, tools, job));
    kit.handle(bulkExport, (args, job) => move(args, tools, job));
    kit.handle(dataProcessing, (args, job) => processRows(args, tools, job));
    kit.handle(batchDelete, (args, job) => deleteRows(args, tools, job));
    kit.handle(bulkUpload, (args, job) => uploadFiles(args, tools, job));
  },
});
