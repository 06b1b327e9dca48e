// Checks packages by libraries that are ES modules, which Jest cannot import.
//   node checks.mjs NAME FOLDER TARBALL [NAME FOLDER TARBALL]…
// prints as JSON, by name, what publint finds wrong with the folder, and how the types of the tarball differ from what
// runs for CommonJS, ES modules and bundlers.
import { readFileSync } from 'node:fs';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const found = [];
for (let rest = process.argv.slice(2); rest.length > 0; rest = rest.slice(3)) {
  const [name, folder, tarball] = rest;
  const { messages, pkg } = await publint({ pkgDir: folder, level: 'warning', pack: false });
  const types = await checkPackage(createPackageFromTarballData(readFileSync(tarball)));
  const faults = [
    ...messages.filter(isOfNode).map((message) => formatMessage(message, pkg) ?? message.code),
    // Programs have no types.
    ...(types.types === false ? [] : types.problems.map((problem) => JSON.stringify(problem))),
  ];
  found.push([name, faults]);
}
process.stdout.write(JSON.stringify(Object.fromEntries(found)));

/** What browsers run is served as it is. */
function isOfNode({ args }) {
  return args?.actualFilePath?.startsWith('/dashboard/') !== true;
}
