// Holds objects of Kubernetes, as JSON on stdin, against the published schemas of their kinds; writes what is wrong with
// each, or null, as JSON. In a process of its own, because the packages are outside the project: validate.mjs MANIFEST.
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

const modules = join(dirname(process.argv[2]), 'node_modules');
const objects = JSON.parse(await text(process.stdin));
process.stdout.write(JSON.stringify(await Promise.all(objects.map(faultOf))));

async function faultOf(object) {
  try {
    const { [object.kind]: Kind } = await import(pathToFileURL(join(modules, moduleOf(object.apiVersion), 'index.js')));
    if (Kind === undefined) return `${object.apiVersion} has no ${object.kind}`;
    new Kind(object).validate();
    return null;
  } catch (error) {
    return `${object.kind} ${object.metadata.name}: ${error}`;
  }
}

/** The module that has the kinds of a version of an API. */
function moduleOf(apiVersion) {
  const [group] = apiVersion.split('/');
  if (group.endsWith('keda.sh')) return `@kubernetes-models/keda/${apiVersion}`;
  if (group === 'monitoring.coreos.com') return `@kubernetes-models/prometheus-operator/${apiVersion}`;
  if (group === 'argoproj.io') return `@kubernetes-models/argo-cd/${apiVersion}`;
  if (group.endsWith('.fluxcd.io')) return `@kubernetes-models/flux-cd/${apiVersion}`;
  return `kubernetes-models/${apiVersion}`;
}
