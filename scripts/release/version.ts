import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readManifest, ROOT, workspaceFolders } from './packages';

/** Sources that say the version themselves, because bundles contain no package.json. */
const SOURCES = ['runner-sdk/transport/version.ts', 'cli/version.ts'];
const SEMVER = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;

/**
 * Gives all packages, and what they need of each other, one version. `package-lock.json` is left to npm.
 * @returns the changed files, from the project's folder
 * @throws {Error} for what is no semantic version, or is the version already
 */
export function setVersion(version: string): string[] {
  if (!SEMVER.test(version)) throw new Error(`${version} is not a semantic version such as 1.2.3 or 1.2.3-rc.1.`);
  const folders = ['.', ...workspaceFolders()];
  const before = readManifest('.').version;
  if (before === version) throw new Error(`The version is ${version} already.`);
  const names = new Set(folders.map((folder) => readManifest(folder).name));
  const manifests = folders.map((folder) => {
    const manifest = readManifest(folder);
    for (const [name] of Object.entries(manifest.dependencies ?? {}))
      if (names.has(name)) manifest.dependencies = { ...manifest.dependencies, [name]: version };
    return write(join(folder, 'package.json'), `${JSON.stringify({ ...manifest, version }, null, 2)}\n`);
  });
  const sources = SOURCES.map((file) => {
    const text = readFileSync(join(ROOT, file), 'utf8');
    if (!text.includes(`'${before}'`)) throw new Error(`${file} does not say '${before}'.`);
    return write(file, text.replace(`'${before}'`, `'${version}'`));
  });
  return [...manifests, ...sources];
}

const UNRELEASED = '## [Unreleased]\n';

/**
 * Gives what is unreleased in the changelog its version and day.
 * @param day such as `2026-12-01`
 * @throws {Error} when nothing is unreleased
 */
export function dateChangelog(text: string, version: string, day: string): string {
  const start = text.indexOf(UNRELEASED);
  const body = text.slice(start + UNRELEASED.length).split(/^## /m)[0] ?? '';
  if (start < 0 || !/^- /m.test(body)) throw new Error('CHANGELOG.md says nothing under [Unreleased].');
  // A sentence about what it is to become is no part of what it is.
  const said = body.replace(/^To become .*\n+/m, '');
  const rest = text.slice(start + UNRELEASED.length + body.length);
  return `${text.slice(0, start)}${UNRELEASED}\n## [${version}] - ${day}\n${said}${rest}`;
}

/** What the changelog says of a version, for the tag. */
export function notesOf(text: string, version: string): string {
  const [, section = ''] = text.split(`## [${version}]`);
  return section.slice(section.indexOf('\n')).split(/^## /m)[0]?.trim() ?? '';
}

function write(file: string, text: string): string {
  writeFileSync(join(ROOT, file), text);
  return file;
}
