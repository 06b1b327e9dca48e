import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  dashboardTakesTypesOnly,
  importsAreDeclared,
  importsFormNoCycle,
  importsPointDown,
  packagesKeepApart,
} from './architecture/arrows';
import type { Breach, Rule } from './architecture/breach';
import {
  environmentIsReadInOnePlace,
  exportsHaveNames,
  jobsAreWrittenInOnePlace,
  namesSayWhatIsInside,
  packagesStayInPlace,
  sqlStaysInStore,
} from './architecture/places';
import { commentsAreWrapped, foldersAreSmall, foldersFormNoCycle, httpTakesViewsOnly } from './architecture/folders';
import { workspaces } from './support/workspaces';
import { parseSource, readSources } from './architecture/sources';

const ROOT = join(__dirname, '..');
const PACKAGES = workspaces(ROOT);
const sources = readSources(ROOT, [...PACKAGES, 'scripts', 'test']);
const declared = new Map(PACKAGES.map((folder) => [folder, dependenciesOf(folder)]));
const isDeclared: Rule = (all) => importsAreDeclared(all, declared);

/** What breaks a rule and may, with the reason. One that is no longer needed fails the test. */
const EXCEPTIONS: { rule: Rule; path: string; reason: string }[] = [
  { rule: exportsHaveNames, path: 'dashboard/vite.config.ts', reason: 'Vite reads the default export' },
  { rule: exportsHaveNames, path: 'test/support/global-setup.ts', reason: 'jest calls the default export' },
  { rule: exportsHaveNames, path: 'test/support/global-teardown.ts', reason: 'jest calls the default export' },
  {
    rule: httpTakesViewsOnly,
    path: 'coordinator/http/core/problem.ts',
    reason: 'a broken or refused statement becomes a problem here, whatever call it belongs to',
  },
  ...['coordinator/domain/auth', 'coordinator/domain/audit'].map((path) => ({
    rule: foldersFormNoCycle,
    path,
    reason: 'an audit entry names a caller, and changes of keys are audited',
  })),
];

interface Case {
  name: string;
  rule: Rule;
  /** Files that break the rule, each alone or all together. */
  broken: Record<string, string>[];
  /** Files close to the broken ones that keep it. */
  kept: Record<string, string>;
}

const CASES: Case[] = [
  {
    name: 'imports point down',
    rule: importsPointDown,
    broken: [
      { 'coordinator/store/jobs.ts': "import { create } from '../domain/jobs/create';" },
      { 'coordinator/domain/jobs/create.ts': "import type { Services } from '../../http/core/services';" },
      { 'coordinator/http/routes/jobs.ts': "export { Loop } from '../../loops/loop';" },
      { 'coordinator/dispatch/dispatcher.ts': "import { reply } from '../http/core/endpoint';" },
      { 'coordinator/domain/jobs/create.ts': "import type { Dispatcher } from '../../dispatch/dispatcher';" },
      { 'coordinator/state/lanes.ts': "import type { Context } from '../context';" },
      { 'coordinator/store/lanes.ts': "import type { Lane } from '../state/lanes';" },
      { 'coordinator/domain/jobs/create.ts': "type Config = import('../../config/config').Config;" },
      { 'coordinator/store/db.ts': "const app = require('../app');" },
      { 'coordinator/errors.ts': "const db = import('./store/db');" },
      { 'coordinator/somewhere.ts': '' },
    ],
    kept: {
      'coordinator/http/routes/jobs.ts':
        "import * as views from '../../store/views/jobs'; import { endpoint } from '../core/endpoint'; import { BatonError } from '../../errors';",
    },
  },
  {
    name: 'imports form no cycle',
    rule: importsFormNoCycle,
    broken: [
      {
        'runner-sdk/a.ts': "import './b';",
        'runner-sdk/b.ts': "import type { C } from './c';",
        'runner-sdk/c.ts': "export * from './a';",
      },
      { 'runner-sdk/a.ts': "import './a';" },
      { 'runner-sdk/a/index.ts': "import './b';", 'runner-sdk/a/b.ts': "import '../a';" },
    ],
    kept: {
      'runner-sdk/a.ts': "import './b'; import './c';",
      'runner-sdk/b.ts': "import './c';",
      'runner-sdk/c.ts': '',
    },
  },
  {
    name: 'http takes only views and types from the store',
    rule: httpTakesViewsOnly,
    broken: [
      { 'coordinator/http/routes/queues.ts': "import * as store from '../../store/queues';" },
      { 'coordinator/http/routes/queues.ts': "import { type QueueRow, list } from '../../store/queues';" },
      { 'coordinator/http/routes/queues.ts': "export { list } from '../../store/queues';" },
      { 'coordinator/http/render/jobs.ts': "import { insert } from '../../store/jobs/insert';" },
    ],
    kept: {
      'coordinator/http/render/jobs.ts': "import { JOB_FIELDS } from '../../store/jobs/fields';",
      'coordinator/http/routes/queues.ts':
        "import type { QueueRow } from '../../store/queues'; import { type Slot } from '../../store/jobs'; import * as views from '../../store/views/jobs';",
      'coordinator/domain/queues/controls.ts': "import * as store from '../../store/queues';",
    },
  },
  {
    name: 'folders form no cycle',
    rule: foldersFormNoCycle,
    broken: [
      {
        'coordinator/domain/a/one.ts': "import '../b/two';",
        'coordinator/domain/b/two.ts': '',
        'coordinator/domain/b/three.ts': "import type { X } from '../c/four';",
        'coordinator/domain/c/four.ts': "import '../a/five';",
        'coordinator/domain/a/five.ts': '',
      },
      {
        'coordinator/dispatch/dispatcher.ts': "import './reads';",
        'coordinator/dispatch/reads/index.ts': "import '../poller';",
        'coordinator/dispatch/poller.ts': '',
      },
    ],
    kept: {
      'coordinator/domain/a/one.ts': "import '../b/two'; import '../../errors';",
      'coordinator/domain/b/two.ts': "import './three'; import type { Context } from '../../context';",
      'coordinator/domain/b/three.ts': '',
      'coordinator/context.ts': "import './domain/a/one';",
      'coordinator/errors.ts': '',
      'coordinator/store/db.ts': "import './jobs';",
      'coordinator/store/jobs/index.ts': '',
      'coordinator/store/jobs/claim.ts': "import '../db';",
    },
  },
  {
    name: 'folders are small',
    rule: foldersAreSmall,
    broken: [Object.fromEntries(Array.from({ length: 26 }, (_, nth) => [`coordinator/loops/loop-${nth}.ts`, '']))],
    kept: Object.fromEntries(
      Array.from({ length: 26 }, (_, nth) => [`coordinator/${nth < 25 ? 'loops' : 'loops/more'}/loop-${nth}.ts`, '']),
    ),
  },
  {
    name: 'comments are wrapped',
    rule: commentsAreWrapped,
    broken: [
      { 'cli/run.ts': `// ${'x'.repeat(118)}` },
      { 'cli/run.ts': `/**\n * ${'x'.repeat(118)}\n */` },
      { 'cli/run.ts': `  /** ${'x'.repeat(114)} */` },
    ],
    kept: { 'cli/run.ts': `// ${'x'.repeat(117)}\nexport const long = '${'x'.repeat(200)}';` },
  },
  {
    name: 'packages keep apart',
    rule: packagesKeepApart,
    broken: [
      { 'runner-sdk/runner/runner.ts': "import { ERRORS } from '../../coordinator/errors';" },
      { 'runner-sdk/runner/runner.ts': "import '@baton/coordinator/dist/errors';" },
      { 'runners/quotes/index.ts': "import '@baton/coordinator/dist/errors';" },
      { 'bridges/sqs/index.ts': "import '@baton/coordinator/dist/errors';" },
      { 'bridges/sqs/index.ts': "import '../lambda/index';" },
      { 'runners/quotes/index.ts': "import '@baton/runner-sdk/dist/transport/transport';" },
      { 'coordinator/http/routes/jobs.ts': "import { Client } from '@baton/runner-sdk';" },
      { 'coordinator/http/routes/jobs.ts': "import '../../../runner-sdk/protocol';" },
    ],
    kept: {
      'coordinator/http/routes/jobs.ts': "import '@baton/runner-sdk/protocol';",
      'runners/quotes/index.ts': "import '@baton/runner-sdk'; import './config';",
      'runner-sdk/runner/runner.ts': "import '../protocol'; import { z } from 'zod';",
      'scripts/docs.ts': "import '@baton/coordinator/dist/errors';",
    },
  },
  {
    name: 'the dashboard takes types only',
    rule: dashboardTakesTypesOnly,
    broken: [
      { 'dashboard/src/api/job.ts': "import { job } from '@baton/runner-sdk/protocol';" },
      { 'dashboard/src/app.tsx': "import { type Job, jobStatus } from '@baton/runner-sdk/protocol';" },
    ],
    kept: { 'dashboard/src/app.tsx': "import type { Job } from '@baton/runner-sdk/protocol'; import './job';" },
  },
  {
    name: 'what is imported is declared',
    rule: isDeclared,
    broken: [
      { 'runner-sdk/transport/transport.ts': "import express from 'express';" },
      { 'coordinator/logger.ts': "import type { X } from 'tsx/types/x';" },
    ],
    kept: {
      'runner-sdk/transport/transport.ts': "import { Agent } from 'undici'; import { join } from 'node:path';",
      'coordinator/store/db.ts': "import '@prisma/client/runtime';",
    },
  },
  {
    name: 'express stays in http, the database in the store',
    rule: packagesStayInPlace,
    broken: [
      { 'coordinator/domain/jobs/create.ts': "import type { Request } from 'express';" },
      { 'coordinator/loops/notifications.ts': "import { Client } from 'pg';" },
      { 'coordinator/domain/jobs/create.ts': "import type { Job } from '../../generated/prisma/client';" },
    ],
    kept: {
      'coordinator/http/server.ts': "import express from 'express';",
      'coordinator/store/db.ts': "import { Pool } from 'pg'; import '../generated/prisma/client';",
    },
  },
  {
    name: 'SQL stays in the store',
    rule: sqlStaysInStore,
    broken: [
      { 'coordinator/domain/jobs/create.ts': "db.query('SELECT 1');" },
      { 'coordinator/loops/notifications.ts': `db.query(\`\n  UPDATE jobs SET status = \${status}\`);` },
      { 'coordinator/http/routes/jobs.ts': 'const condition = sql`j.id = 1`;' },
      { 'coordinator/http/routes/jobs.ts': 'context.db.prisma.job.findMany();' },
    ],
    kept: {
      'coordinator/http/routes/jobs.ts': "const summary = 'Select and update jobs'; // SELECT 1",
      'coordinator/store/jobs.ts': 'sql`SELECT 1`;',
    },
  },
  {
    name: 'jobs are written in one place',
    rule: jobsAreWrittenInOnePlace,
    broken: [
      { 'coordinator/store/leases.ts': 'sql`WITH a AS (SELECT 1) UPDATE jobs j SET status = 1`;' },
      { 'coordinator/store/views/jobs.ts': 'sql`DELETE FROM "jobs"`;' },
      { 'coordinator/store/keys.ts': "db.prisma.job.updateMany({ data: { status: 'failed' } });" },
    ],
    kept: {
      'coordinator/store/jobs/cancel.ts': 'sql`UPDATE jobs j SET status = 1`;',
      'coordinator/store/leases.ts': 'sql`UPDATE attempts a SET late_result = 1`; sql`SELECT * FROM jobs FOR UPDATE`;',
    },
  },
  {
    name: 'the environment is read where settings are checked',
    rule: environmentIsReadInOnePlace,
    broken: [
      { 'coordinator/store/db.ts': "const url = process.env['DATABASE_URL'];" },
      { 'runner-sdk/runner/runner.ts': 'const { env } = process;' },
      { 'runners/quotes/index.ts': 'start(process.env);' },
    ],
    kept: {
      'coordinator/main.ts': 'readConfig(process.env);',
      'runner-sdk/runner/runner.ts': 'const { env } = options; process.exit(1);',
    },
  },
  {
    name: 'names say what is inside',
    rule: namesSayWhatIsInside,
    broken: [
      { 'coordinator/http/utils.ts': '' },
      { 'runner-sdk/types.ts': '' },
      { 'test/helpers/runner.ts': '' },
      { 'coordinator/http/parkedClaims.ts': '' },
      { 'test/common.test.ts': '' },
    ],
    kept: { 'coordinator/http/parked-claims.ts': '', 'test/jobs/lifecycle.model.test.ts': '' },
  },
  {
    name: 'exports have names',
    rule: exportsHaveNames,
    broken: [
      { 'runner-sdk/a.ts': 'export default 1;' },
      { 'runner-sdk/a.ts': 'export default function start() {}' },
      { 'runner-sdk/a.ts': 'const a = 1; export { a as default };' },
      { 'runner-sdk/a.ts': 'export = 1;' },
    ],
    kept: { 'runner-sdk/a.ts': 'export const a = 1; switch (a) { default: break; }' },
  },
];

test('there is something to judge', () => {
  expect(sources.length).toBeGreaterThan(100);
  expect(sources.some(({ path }) => path === 'coordinator/store/jobs/claim.ts')).toBe(true);
  expect(sources.flatMap(({ imports }) => imports).length).toBeGreaterThan(sources.length);
});

describe.each(CASES)('$name', ({ rule, broken, kept }) => {
  test('in all of the project', () => {
    const isExcepted = ({ path }: Breach): boolean =>
      EXCEPTIONS.some((exception) => exception.rule === rule && exception.path === path);
    expect(
      rule(sources)
        .filter((breach) => !isExcepted(breach))
        .map(describeBreach),
    ).toEqual([]);
  });

  test.each(broken)('is broken by %j', (files) => {
    expect(rule(parse(files))).not.toEqual([]);
  });

  test('is kept by what only looks alike', () => {
    expect(rule(parse(kept)).map(describeBreach)).toEqual([]);
  });
});

test.each(EXCEPTIONS)('the exception of $path is still needed', ({ rule, path }) => {
  expect(rule(sources).some((breach) => breach.path === path)).toBe(true);
});

function parse(files: Record<string, string>) {
  return Object.entries(files).map(([path, text]) => parseSource(path, text));
}

function describeBreach({ path, line, message }: Breach): string {
  return `${path}:${line} ${message}`;
}

function dependenciesOf(folder: string): string[] {
  const {
    dependencies = {},
    peerDependencies = {},
    devDependencies = {},
  } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as Partial<
    Record<'dependencies' | 'peerDependencies' | 'devDependencies', Record<string, string>>
  >;
  // What the dashboard is made of is built into its files, and not needed any more then.
  const own = folder === 'dashboard' ? devDependencies : { ...dependencies, ...peerDependencies };
  return Object.keys(own);
}
