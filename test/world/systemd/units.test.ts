import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findDebian } from '../../../scripts/debian';
import { ROOT } from '../../e2e/support/processes';
import { describeWith } from '../support/needs';

const run = promisify(execFile);
const UNITS = join(ROOT, 'deploy', 'systemd');
/** Of systemd's exposure levels, 0 (safe) to 10: what is left is the network, and that Node writes code into memory. */
const MOST_EXPOSURE: Record<string, number> = { 'baton-coordinator.service': 2, 'baton-runner@.service': 2.5 };
const INSTANCE = {
  'baton-coordinator.service': 'baton-coordinator.service',
  'baton-runner@.service': 'baton-runner@mail.service',
};

describeWith('systemd', { 'systemd-analyze': findDebian('systemd', 'systemd-analyze') }, (found) => {
  const { path, env } = found['systemd-analyze'];
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'baton-units-'));
    for (const [file, instance] of Object.entries(INSTANCE)) {
      // Verified with programs of this machine in the place of those that an installation has.
      const unit = readFileSync(join(UNITS, file), 'utf8').replaceAll('/usr/bin/node', process.execPath);
      writeFileSync(join(folder, instance), unit);
    }
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('there are the units that are tested', () => {
    expect(readdirSync(UNITS).sort()).toEqual(Object.keys(INSTANCE).sort());
  });

  it.each(Object.values(INSTANCE))('%s is valid', async (instance) => {
    const { stdout, stderr } = await run(path, ['verify', '--man=no', join(folder, instance)], { env });
    // Units of the machine itself are loaded too, and may be complained about.
    expect((stdout + stderr).split('\n').filter((line) => line.includes('baton'))).toEqual([]);
  });

  it('a unit with a wrong setting is found out', async () => {
    const wrong = join(folder, 'baton-wrong.service');
    writeFileSync(wrong, '[Service]\nExecStart=/bin/true\nProtectSystem=perhaps\n');
    const { stderr } = await run(path, ['verify', '--man=no', wrong], { env });
    expect(stderr).toContain('protect system value');
  });

  it.each(Object.entries(INSTANCE))('%s is sandboxed', async (file, instance) => {
    const threshold = String(Math.round((MOST_EXPOSURE[file] ?? 0) * 10));
    const args = ['security', '--offline=true', '--no-pager', `--threshold=${threshold}`, join(folder, instance)];
    const { stdout } = await run(path, args, { env });
    expect(stdout).toMatch(/Overall exposure level/);
  });

  it.each(Object.keys(INSTANCE))('%s leaves time for what a stop may take', (file) => {
    const unit = readFileSync(join(UNITS, file), 'utf8');
    // 10 s for calls and a drain of 15 s; RUNNER_GRACE_MS of 20 s.
    expect(Number(/TimeoutStopSec=(\d+)/.exec(unit)?.[1])).toBeGreaterThan(25);
    expect(unit).toContain('DynamicUser=yes');
    expect(unit).toContain('ProtectSystem=strict');
  });
});
