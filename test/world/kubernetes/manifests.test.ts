import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findKubectl } from '../../../scripts/world-packages';
import { ROOT } from '../../e2e/support/processes';
import { describeWith } from '../support/needs';
import { build, faultsOf, KUBERNETES, type KubernetesObject, parse } from './objects';

interface Container {
  name: string;
  image: string;
  env?: { name: string; value?: string; valueFrom?: { secretKeyRef: { name: string; key: string } } }[];
  livenessProbe?: { httpGet: { path: string } };
  readinessProbe?: { httpGet: { path: string } };
  lifecycle?: { preStop: { sleep: { seconds: number } } };
  resources: { requests: object; limits: { memory: string } };
  securityContext: { readOnlyRootFilesystem: boolean; allowPrivilegeEscalation: boolean; capabilities: object };
}

interface Pod {
  automountServiceAccountToken: boolean;
  terminationGracePeriodSeconds?: number;
  securityContext: { runAsNonRoot: boolean; seccompProfile: object };
  containers: Container[];
}

const OVERLAYS = ['small', 'highly-available', 'argo-cd', 'flux', 'flux/app', 'flux/migration'];
/** How long a coordinator lets calls go on that are under way when it stops. */
const CALLS_MS = 10_000;

describeWith('Kubernetes', { kubectl: findKubectl() }, ({ kubectl }) => {
  const built = new Map<string, KubernetesObject[]>();
  beforeAll(async () => {
    for (const overlay of OVERLAYS) built.set(overlay, await build(kubectl, join('overlays', overlay)));
  });
  const objects = (overlay: string, kind: string): KubernetesObject[] =>
    (built.get(overlay) ?? []).filter((object) => object.kind === kind);

  it.each(OVERLAYS)('%s is valid by the published schemas', (overlay) => {
    const all = built.get(overlay) ?? [];
    expect(all.length).toBeGreaterThan(0);
    expect(faultsOf(all).filter((fault) => fault !== null)).toEqual([]);
  });

  it('the schemas refuse what is wrong', () => {
    const [deployment] = objects('small', 'Deployment');
    if (deployment === undefined) throw new Error('there is one');
    const wrong = { ...deployment, spec: { ...deployment.spec, replicas: 'many' } };
    expect(faultsOf([wrong, { ...deployment, kind: 'Deploymend' }])).toEqual([
      expect.stringContaining('replicas'),
      'apps/v1 has no Deploymend',
    ]);
  });

  it('what is not part of an overlay is valid too', () => {
    const file = (path: string) => readFileSync(join(KUBERNETES, path), 'utf8');
    const others = ['overlays/argo-cd/application.yaml', 'components/hpa/hpa.yaml'].flatMap((path) =>
      parse(file(path)),
    );
    expect(faultsOf(others)).toEqual([null, null]);
    const secrets = parse(file('components/external-secrets/secrets.yaml'));
    expect(secrets.map(({ kind }) => kind)).toEqual(Array(4).fill('ExternalSecret'));
  });

  it('every pod is without rights, and has probes, limits and the right grace', () => {
    const pods = [...objects('highly-available', 'Deployment'), ...objects('highly-available', 'Job')].map(podOf);
    expect(pods).toHaveLength(3);
    for (const { spec } of pods) {
      expect(spec).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      });
      for (const container of spec.containers)
        expect(container).toMatchObject({
          resources: { requests: {}, limits: { memory: expect.any(String) } },
          securityContext: {
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
          },
        });
    }
    const [coordinator, runner] = pods;
    const [main] = coordinator?.spec.containers ?? [];
    expect(main).toMatchObject({
      livenessProbe: { httpGet: { path: '/healthz' } },
      readinessProbe: { httpGet: { path: '/readyz' } },
    });
    const drains = Number(main?.env?.find(({ name }) => name === 'BATON_DRAIN_MS')?.value);
    const stops = (main?.lifecycle?.preStop.sleep.seconds ?? 0) * 1000 + drains + CALLS_MS;
    expect((coordinator?.spec.terminationGracePeriodSeconds ?? 0) * 1000).toBeGreaterThan(stops);
    const grace = Number(runner?.spec.containers[0]?.env?.find(({ name }) => name === 'RUNNER_GRACE_MS')?.value);
    expect((runner?.spec.terminationGracePeriodSeconds ?? 0) * 1000).toBeGreaterThan(grace);
  });

  it('no secret is in a manifest, and those that are read come from outside', () => {
    const all = [...built.values()].flat();
    expect(all.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    const read = new Set(
      [...objects('argo-cd', 'Deployment'), ...objects('argo-cd', 'Job')]
        .flatMap((object) => podOf(object).spec.containers)
        .flatMap(({ env = [] }) => env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []))
        .map(({ name, key }) => `${name}/${key}`),
    );
    const offered = readFileSync(join(KUBERNETES, 'components', 'external-secrets', 'secrets.yaml'), 'utf8');
    for (const one of read) expect(offered).toContain(`key: ${one} `);
    expect(read.size).toBe(4);
  });

  it('every setting that a manifest names exists', () => {
    const known = readFileSync(join(ROOT, 'docs', 'configuration.md'), 'utf8');
    const names = objects('highly-available', 'Deployment').flatMap((object) =>
      podOf(object).spec.containers.flatMap(({ env = [] }) => env.map(({ name }) => name)),
    );
    expect(names.length).toBeGreaterThan(6);
    for (const name of names) expect(known).toContain(`\`${name}\``);
  });

  it('selectors find what they are meant for', () => {
    const all = built.get('highly-available') ?? [];
    const labels = [...objects('highly-available', 'Deployment'), ...objects('highly-available', 'Job')].map(
      (object) => podOf(object).metadata.labels,
    );
    const selectors = all.flatMap(({ kind, metadata, spec }) => {
      const selector = (spec?.['selector'] ?? spec?.['podSelector']) as { matchLabels?: object } | undefined;
      const matched = kind === 'Service' ? selector : selector?.matchLabels;
      return matched === undefined || kind === 'ServiceMonitor' ? [] : [{ of: `${kind} ${metadata.name}`, matched }];
    });
    expect(selectors.length).toBeGreaterThan(8);
    for (const { matched } of selectors) expect(labels).toContainEqual(expect.objectContaining(matched));
    const [service] = objects('highly-available', 'Service');
    const [monitor] = objects('highly-available', 'ServiceMonitor');
    const { matchLabels } = monitor?.spec['selector'] as { matchLabels: object };
    expect(service?.metadata.labels).toMatchObject(matchLabels);
  });

  it('the highly available overlay survives a node, and leaves the number of runners to KEDA', () => {
    const [coordinator, runner] = objects('highly-available', 'Deployment');
    expect(coordinator?.spec).toMatchObject({ replicas: 3, strategy: { rollingUpdate: { maxUnavailable: 0 } } });
    expect(runner?.spec).not.toHaveProperty('replicas');
    expect(objects('highly-available', 'PodDisruptionBudget')).toHaveLength(2);
    expect(objects('highly-available', 'ScaledObject')[0]?.spec).toMatchObject({ minReplicaCount: 0 });
  });

  it('Argo CD and Flux migrate before they roll out', () => {
    const [job] = objects('argo-cd', 'Job');
    expect(job?.metadata.annotations).toMatchObject({ 'argocd.argoproj.io/hook': 'PreSync' });
    // Flux: a step of its own, on which the other depends and which has to be ready.
    expect(objects('flux/app', 'Job')).toEqual([]);
    expect(objects('flux/migration', 'Job')).toHaveLength(1);
    const [app, migration] = ['baton', 'baton-migration'].map((name) =>
      objects('flux', 'Kustomization').find(({ metadata }) => metadata.name === name),
    );
    expect(migration?.spec).toMatchObject({ wait: true, force: true });
    expect(app?.spec).toMatchObject({ dependsOn: [{ name: migration?.metadata.name }] });
    for (const { spec } of [migration, app].filter((one) => one !== undefined)) {
      const path = String(spec['path']).replace('./deploy/kubernetes/overlays/', '');
      expect(OVERLAYS).toContain(path);
    }
  });
});

function podOf({ spec }: KubernetesObject): { metadata: { labels: Record<string, string> }; spec: Pod } {
  return spec['template'] as { metadata: { labels: Record<string, string> }; spec: Pod };
}
