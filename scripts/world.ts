import { findDebian, installPackage, unpackPackage } from './debian';
import { fetchPostgres } from './postgres';
import { conclude, runJest } from './verdict';
import { fetchWorldPackages } from './world-packages';

/**
 * Runs the tests that need more than Node and Chromium, in test/world/. Programs that this machine lacks are fetched
 * from Debian and unpacked beside the system; what cannot be fetched skips its tests, and their names say so. Without
 * `--all` the files `*.slow.test.ts` are left out. Other arguments are passed to jest.
 */
interface Needed {
  name: string;
  program: string;
  /** What is skipped without it. */
  tests: string;
}

/** Packages of Debian, and the program by which each is recognised. */
const PACKAGES: Needed[] = [
  { name: 'nginx', program: 'nginx', tests: 'tests of nginx' },
  { name: 'haproxy', program: 'haproxy', tests: 'tests of HAProxy' },
  { name: 'caddy', program: 'caddy', tests: 'tests of Caddy' },
  { name: 'prometheus', program: 'prometheus', tests: 'tests of monitoring' },
  { name: 'prometheus-postgres-exporter', program: 'prometheus-postgres-exporter', tests: 'tests of monitoring' },
  { name: 'unzip', program: 'unzip', tests: 'tests of Kubernetes' },
  { name: 'buildah', program: 'buildah', tests: 'tests of images' },
  { name: 'debootstrap', program: 'debootstrap', tests: 'tests of images' },
  { name: 'patroni', program: 'patroni', tests: 'tests of failover' },
  { name: 'etcd-server', program: 'etcd', tests: 'tests of failover' },
];
const SLOW = '.slow.';

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const others = args.filter((argument) => argument !== '--all');
  const withSlow = others.length < args.length || others.some((argument) => argument.includes(SLOW));
  // One after the other: apt takes a lock.
  for (const { name, program, tests } of PACKAGES)
    if (findDebian(name, program) === null) console.log(`${name}: ${await unpackPackage(name, tests)}`);
  // buildah starts itself anew without the environment by which it found this library.
  if (withSlow && findDebian('buildah')?.root !== '/')
    console.log(`libgpgme11: ${await installPackage('libgpgme11', 'tests of images')}`);
  const packages = await fetchWorldPackages();
  if (packages !== null) console.log(`packages of npm: ${packages}`);
  const postgres = await fetchPostgres();
  if (postgres !== null) console.log(`postgresql: ${postgres}`);
  const left = withSlow ? [] : [`--testPathIgnorePatterns=/node_modules/|\\${SLOW}test\\.ts$`];
  conclude([await runJest(['--config=jest.world.config.js', ...others, ...left])]);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
