import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findDebian } from '../../scripts/debian';
import { describeWith } from './support/needs';

const run = promisify(execFile);

const PROGRAMS = [
  { name: 'nginx', version: ['-v'] },
  { name: 'haproxy', version: ['-v'] },
  { name: 'prometheus', program: 'promtool', version: ['--version'] },
  { name: 'buildah', version: ['--version'] },
  { name: 'debootstrap', version: ['--version'] },
];

describe.each(PROGRAMS)('$name', ({ name, program, version }) => {
  describeWith('as found', { [name]: findDebian(name, program) }, (found) => {
    it('starts with what it was unpacked with', async () => {
      const { path, env } = found[name] ?? { path: '', env: {} };
      const { stdout, stderr } = await run(path, version, { env });
      expect(stdout + stderr).toMatch(/\d+\.\d+/);
    });
  });
});
