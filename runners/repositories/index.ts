import { findTool, SettingsError, startRunner } from '@baton/runner-kit';
import { analyseRepository } from './analyse';
import { repositoriesMerge, repositoryAnalysis } from './jobs';
import { mergeRepositories } from './merge';
import { repositoriesSettings } from './settings';

startRunner({
  name: 'repositories',
  settings: repositoriesSettings,
  prefix: 'REPOSITORIES_',
  concurrency: 4,
  prepare: async (kit, settings) => {
    const git = await findTool('git', ['--version'], /git version (\d+\.\d+)/);
    if (git === null) throw new SettingsError('git is not there; install it, such as by apt-get install git');
    kit.label({ git: git.version });
    const limits = { roots: settings.REPOSITORIES_ROOTS, seconds: settings.REPOSITORIES_MOST_SECONDS };
    kit.handle(repositoryAnalysis, (args, job) => analyseRepository(args, { work: kit.work, limits }, job));
    kit.handle(repositoriesMerge, mergeRepositories);
  },
});
