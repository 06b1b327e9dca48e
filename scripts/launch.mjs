// Entry point of `npm start`: installs and builds what the clone needs, for the requested runners only, then starts it.
// Plain Node without dependencies, because it runs before they are installed.
import { existsSync, readdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const only = ['coordinator', 'dashboard', 'runners/quotes', ...wantedRunners(process.argv.slice(2))].join(',');
const setup = [join(root, 'scripts', 'setup.mjs'), '--quiet', '--only', only];
const child = spawn(process.execPath, setup, { stdio: 'inherit' });
// The terminal sends Ctrl-C to both processes; signals sent only to this one are passed on.
const listeners = { SIGINT: () => undefined, SIGTERM: () => child.kill('SIGTERM'), SIGHUP: () => child.kill('SIGHUP') };
for (const [signal, listener] of Object.entries(listeners)) process.on(signal, listener);
const [status] = await once(child, 'close');
if (status !== 0) process.exit(status ?? 1);
for (const [signal, listener] of Object.entries(listeners)) process.off(signal, listener);
await import('./dist/start.js');

/** Misspelt names are reported by the start itself. */
function wantedRunners(args) {
  const at = args.findIndex((arg) => arg === '--runners' || arg.startsWith('--runners='));
  if (at < 0) return [];
  const names = (args[at].split('=')[1] ?? args[at + 1] ?? '').split(',').map((name) => name.trim());
  const all = readdirSync(join(root, 'runners')).filter((name) => existsSync(join(root, 'runners', name, 'index.ts')));
  return all.filter((name) => names.includes('all') || names.includes(name)).map((name) => `runners/${name}`);
}
