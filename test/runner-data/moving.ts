import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readSettings, Storage, storageSettings, WorkFolders } from '@baton/runner-kit';
import { batchDelete, bulkExport, bulkUpload, dataImport, dataProcessing } from '@baton/runner-data/jobs';
import type { JobContext, JobDefinition } from '@baton/runner-sdk';
import { type HandlerRun, runHandler, type RunHandlerOptions } from '@baton/runner-sdk/testing';
import { deleteRows } from '../../runners/data/delete';
import { move, processRows } from '../../runners/data/move';
import { readDatabases } from '../../runners/data/settings';
import type { Tools } from '../../runners/data/tools';
import { uploadFiles } from '../../runners/data/upload';

type Handler = (args: never, tools: Tools, job: JobContext) => Promise<unknown>;

const JOBS: Record<string, [JobDefinition, Handler]> = {
  'data-import': [dataImport, move],
  'bulk-export': [bulkExport, move],
  'data-processing': [dataProcessing, processRows],
  'batch-delete': [batchDelete, deleteRows],
  'bulk-upload': [bulkUpload, uploadFiles],
};

/** The handlers on a folder and a database of the test. */
export class Moving {
  readonly folder = mkdtempSync(join(tmpdir(), 'baton-data-'));
  readonly tools: Tools;
  private readonly work = new WorkFolders(join(this.folder, 'work'));

  constructor(databaseUrl: string, env: Record<string, string> = {}) {
    const roots = [`file:${join(this.folder, 'storage')}`, env['STORAGE_ROOTS']].filter(Boolean).join(',');
    const settings = readSettings(storageSettings, { env: { ...env, STORAGE_ROOTS: roots } });
    this.tools = {
      ...{ storage: new Storage(settings, this.folder), work: this.work, count: () => undefined },
      databases: readDatabases(['APP.public.*', 'APP.shared.*:read'], { DATA_DATABASE_APP: databaseUrl }),
      mostSpillBytes: 256 * 1024 * 1024,
    };
  }

  async open(): Promise<this> {
    mkdirSync(join(this.folder, 'storage'));
    await this.work.open();
    return this;
  }

  async run(type: string, args: object, options: RunHandlerOptions = {}): Promise<HandlerRun<Record<string, unknown>>> {
    const found = JOBS[type];
    if (found === undefined) throw new Error(`no job ${type}`);
    const [definition, handler] = found;
    let ended: Promise<unknown> = Promise.resolve();
    const run = await runHandler(
      definition,
      (given: unknown, job: JobContext) => (ended = handler(given as never, this.tools, job)),
      args,
      options,
    );
    // A lost attempt ends at once, and what it did a moment later.
    await ended.catch(() => undefined);
    return run as HandlerRun<Record<string, unknown>>;
  }

  write(name: string, content: string | Buffer): string {
    const path = join(this.folder, 'storage', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return `file:${name}`;
  }

  read(name: string): string {
    return readFileSync(join(this.folder, 'storage', name), 'utf8');
  }

  close(): void {
    this.work.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
