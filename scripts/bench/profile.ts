import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from './rig/paths';

/** V8's format (Profiler.Profile of the DevTools protocol). */
interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number }; children?: number[] }[];
  samples: number[];
  /** Microseconds since the previous sample. */
  timeDeltas: number[];
}

const ROWS = 25;

/** Where each kind of process spent its time, by self time of functions; then deletes the profiles. */
export function describeProfiles(dir: string): string {
  if (!existsSync(dir)) return '';
  const texts = readdirSync(dir).map((who) => {
    const files = readdirSync(join(dir, who)).filter((name) => name.endsWith('.cpuprofile'));
    // The thread id of the main thread is 0: CPU.<date>.<time>.<pid>.<thread>.<sequence>.cpuprofile
    const main = files.filter((name) => name.split('.')[4] === '0');
    return `${who} (own time, ${main.length} process${main.length === 1 ? '' : 'es'}):\n${table(main.map((name) => join(dir, who, name)))}`;
  });
  rmSync(dir, { recursive: true, force: true });
  return texts.join('\n\n');
}

function table(files: string[]): string {
  const times = new Map<string, number>();
  for (const file of files) addTimes(JSON.parse(readFileSync(file, 'utf8')) as CpuProfile, times);
  const idle = times.get('(idle)') ?? 0;
  times.delete('(idle)');
  const busy = [...times.values()].reduce((sum, time) => sum + time, 0);
  const homes = new Map<string, number>();
  for (const [name, time] of times) homes.set(homeOf(name), (homes.get(homeOf(name)) ?? 0) + time);
  const dearest = (all: Map<string, number>) => [...all].sort((one, other) => other[1] - one[1]).slice(0, ROWS);
  const line = (time: number, name: string) =>
    `  ${(time / 1000).toFixed(0).padStart(7)} ms ${((time / busy) * 100).toFixed(1).padStart(5)} %  ${name}`;
  const lines = (all: Map<string, number>) => dearest(all).map(([name, time]) => line(time, name));
  return [
    `  busy ${(busy / 1000).toFixed(0)} ms, idle ${(idle / 1000).toFixed(0)} ms; by function`,
    ...lines(times),
    '  by package',
    ...lines(homes),
  ].join('\n');
}

/** The package, or Baton's own folder, that a function belongs to. */
function homeOf(name: string): string {
  const path = name.split(' ').at(-1) ?? '';
  if (path.startsWith('node:')) return `node:${path.slice(5).split(/[/:]/)[0] ?? ''}`;
  const own = /^(coordinator|runner-sdk|scripts)\/.*?dist\/(.*)$/.exec(path);
  if (own !== null) return `${own[1] ?? ''} ${(own[2] ?? '').split('/').slice(0, -1).join('/')}`.trim();
  return /^((@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? name;
}

function addTimes({ nodes, samples, timeDeltas }: CpuProfile, times: Map<string, number>): void {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  samples.forEach((id, index) => {
    const name = names.get(id) ?? '?';
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  });
}

function nameOf({ functionName, url, lineNumber }: { functionName: string; url: string; lineNumber: number }): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const path = url.startsWith('file:') ? fileURLToPath(url) : url;
  return `${name} ${path.replace(`${ROOT}/`, '').replace('node_modules/', '')}:${lineNumber + 1}`;
}
