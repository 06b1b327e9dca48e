import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type DebianProgram, rootOf } from '../../../scripts/debian';
import { ROOT } from '../../e2e/support/processes';
import { eventually } from '../../support/eventually';

const run = promisify(execFile);
const STORE = rootOf('images');
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';
const BASE = 'localhost/baton-base';
const NODE_VERSION = '22.23.5';
const BUILD_MS = 1_200_000;

/** What an image says about how it is run. */
export interface ImageConfig {
  User: string;
  Env: string[];
  Entrypoint: string[];
  StopSignal: string;
  WorkingDir: string;
}

/** Debian's buildah, which builds and mounts images without a daemon. */
export class Buildah {
  private readonly home = mkdtempSync(join(tmpdir(), 'baton-buildah-'));
  private readonly args = ['--root', STORE, '--runroot', `${STORE}-run`, '--storage-driver', 'vfs'];
  private readonly containers: string[] = [];

  constructor(
    private readonly program: DebianProgram,
    private readonly debootstrap: DebianProgram,
  ) {
    const folder = join(this.home, '.config', 'containers');
    mkdirSync(folder, { recursive: true });
    // Nothing is pulled from anywhere.
    writeFileSync(join(folder, 'policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
  }

  /** Makes the base image, unless an earlier run did. */
  async makeBase(): Promise<void> {
    if ((await this.call(['images', '--format', '{{.Name}}'])).includes(BASE)) return;
    const env: NodeJS.ProcessEnv = { ...this.debootstrap.env, ...this.env, BUILDAH_ARGS: this.args.join(' ') };
    await run('sh', [join(ROOT, 'scripts', 'base-image.sh'), 'baton-base', NODE_VERSION], {
      env: { ...env, PATH: `${env.PATH}:${join(this.program.root, 'usr/bin')}` },
      timeout: BUILD_MS,
    });
  }

  /** Builds a target of the Dockerfile from what git knows. */
  async build(target: string): Promise<void> {
    const context = join(this.home, 'context');
    if (!existsSync(context)) {
      mkdirSync(context);
      await run('sh', ['-c', `git ls-files -z | xargs -0 tar -cf - | tar -xf - -C ${context}`], { cwd: ROOT });
    }
    const mounts = existsSync(AUTHORITIES) ? ['-v', `${AUTHORITIES}:${AUTHORITIES}:ro`] : [];
    const options = ['--format', 'docker', '--layers', '--pull-never', '--build-arg', `BASE=${BASE}`, ...mounts];
    await this.call(['bud', ...options, '--target', target, '-t', `baton-${target}`, context]);
  }

  async config(image: string): Promise<ImageConfig> {
    const said = await this.call(['inspect', '--type', 'image', `localhost/${image}`]);
    const { Docker } = JSON.parse(said) as { Docker: { config: ImageConfig } };
    return Docker.config;
  }

  /** A container of an image, as a folder that nothing runs in yet. */
  async mount(image: string): Promise<string> {
    const container = (await this.call(['from', '--pull-never', `localhost/${image}`])).trim();
    this.containers.push(container);
    return (await this.call(['mount', container])).trim();
  }

  async close(): Promise<void> {
    for (const container of this.containers) await this.call(['rm', container]);
    rmSync(this.home, { recursive: true, force: true });
  }

  private async call(args: string[]): Promise<string> {
    const env = { ...this.program.env, ...this.env };
    const options = { env, timeout: BUILD_MS, maxBuffer: 2 ** 26 };
    const { stdout } = await run(this.program.path, [...this.args, ...args], options);
    return stdout;
  }

  private get env(): NodeJS.ProcessEnv {
    return { HOME: this.home, BUILDAH_ISOLATION: 'chroot' };
  }
}

/**
 * Runs what is in an image as a container would: process 1 of its own, on a read-only root with a temporary file system
 * where `writable` says, as the image's user, with its environment and entry point. It shares the network of the host.
 */
export class Container {
  private readonly child: ChildProcess;
  private said = '';

  constructor(
    private readonly root: string,
    private readonly image: ImageConfig,
    private readonly env: Record<string, string>,
    writable: string[] = [],
  ) {
    const temporary = ['/tmp', ...writable].map((path) => `mount -t tmpfs -o mode=1777 tmpfs ${root}${path}`);
    const script = [
      'set -e',
      `mount --bind ${root} ${root}`,
      `mount -t proc proc ${root}/proc`,
      `mount --rbind /dev ${root}/dev`,
      ...temporary,
      `mount -o remount,bind,ro ${root}`,
      `exec ${this.inside(image.Entrypoint)}`,
    ].join('\n');
    this.child = spawn('unshare', ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.said += text));
  }

  async says(text: string): Promise<string> {
    return eventually(
      () => {
        if (this.child.exitCode !== null) throw new Error(`it ended: ${this.said}`);
        return this.said;
      },
      (said) => said.includes(text),
      90_000,
    );
  }

  /** Runs a command in it. Resolves with its exit code. */
  async exec(command: string[]): Promise<number> {
    const child = spawn(
      'nsenter',
      ['--target', String(this.main), '--mount', '--pid', 'sh', '-c', this.inside(command)],
      {
        stdio: 'ignore',
      },
    );
    return new Promise((resolve) => child.on('close', (status) => resolve(status ?? -1)));
  }

  /** Sends a signal to its process 1. Resolves with the exit code, once it has ended. */
  async stop(signal: NodeJS.Signals, graceMs: number): Promise<number | null> {
    process.kill(this.main, signal);
    await eventually(() => this.child.exitCode !== null || this.child.signalCode !== null, Boolean, graceMs);
    return this.child.exitCode;
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  /** The number, outside, of the process that is number 1 inside. */
  private get main(): number {
    const { pid } = this.child;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
  }

  private inside(command: string[]): string {
    const env = [...this.image.Env, ...Object.entries(this.env).map((pair) => pair.join('='))];
    const words = ['env', '-i', ...env, 'sh', '-c', `cd ${this.image.WorkingDir}; exec "$@"`, 'sh', ...command];
    return `chroot --userspec=${this.image.User} ${this.root} ${words.map(quoted).join(' ')}`;
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
