import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DebianProgram } from '../../../scripts/debian';
import { ROOT } from '../../e2e/support/processes';
import { freePort } from '../support/port';
import { Service } from '../support/service';

const CERTIFICATES = join(ROOT, 'test', 'http', 'tls');
export const AUTHORITY = readFileSync(join(CERTIFICATES, 'localhost-cert.pem'), 'utf8');

export interface ProxyKind {
  name: string;
  /** In deploy/proxies/. */
  file: string;
  args: (file: string) => string[];
  /** What is changed besides the coordinators' addresses and the timeouts. Each must be there. */
  changes: (ports: { http: number; https: number }, folder: string) => [string, string][];
}

export const NGINX: ProxyKind = {
  name: 'nginx',
  file: 'nginx.conf',
  args: (file) => ['-c', file, '-g', 'daemon off;'],
  changes: ({ http, https }, folder) => [
    ['listen 80;', `listen 127.0.0.1:${http};`],
    ['listen 443 ssl', `listen 127.0.0.1:${https} ssl`],
    ['/etc/baton/tls/tls.crt', join(CERTIFICATES, 'localhost-cert.pem')],
    ['/etc/baton/tls/tls.key', join(CERTIFICATES, 'localhost-key.pem')],
    ['/tmp/nginx', join(folder, 'nginx')],
    // It leaves root for a user who cannot enter the folder.
    ['worker_processes auto;', process.getuid?.() === 0 ? 'worker_processes 2; user root;' : 'worker_processes 2;'],
  ],
};

export const HAPROXY: ProxyKind = {
  name: 'HAProxy',
  file: 'haproxy.cfg',
  args: (file) => ['-db', '-f', file],
  changes: ({ http, https }, folder) => [
    ['bind :80', `bind 127.0.0.1:${http}`],
    ['bind :443', `bind 127.0.0.1:${https}`],
    ['/etc/baton/tls/tls.pem', join(folder, 'tls.pem')],
  ],
};

export const CADDY: ProxyKind = {
  name: 'Caddy',
  file: 'Caddyfile',
  args: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
  changes: ({ http, https }) => [
    [
      'baton.example.com {',
      `{\n\tadmin off\n\thttp_port ${http}\n}\nhttps://localhost:${https} {\n\tbind 127.0.0.1\n\ttls ${join(CERTIFICATES, 'localhost-cert.pem')} ${join(CERTIFICATES, 'localhost-key.pem')}`,
    ],
  ],
};

/** A real proxy with the project's own settings, before two coordinators. */
export class Proxy {
  private constructor(
    readonly http: string,
    readonly https: string,
    private readonly service: Service,
    private readonly folder: string,
  ) {}

  /** @param waitS what the proxy allows a call to wait without a byte, instead of the 60 s of its settings */
  static async start(kind: ProxyKind, program: DebianProgram, backends: number[], waitS: number): Promise<Proxy> {
    const folder = mkdtempSync(join(tmpdir(), 'baton-proxy-'));
    const ports = { http: await freePort(), https: await freePort() };
    writeFileSync(join(folder, 'tls.pem'), AUTHORITY + readFileSync(join(CERTIFICATES, 'localhost-key.pem'), 'utf8'));
    const changes: [string, string][] = [
      ...kind.changes(ports, folder),
      ...backends.map((port, nth): [string, string] => [`coordinator-${nth + 1}:3001`, `127.0.0.1:${port}`]),
      ['60s', `${waitS}s`],
    ];
    let settings = readFileSync(join(ROOT, 'deploy', 'proxies', kind.file), 'utf8');
    for (const [from, to] of changes) {
      if (!settings.includes(from)) throw new Error(`${kind.file} has no "${from}"`);
      settings = settings.replaceAll(from, to);
    }
    const file = join(folder, kind.file);
    writeFileSync(file, settings);
    const service = await new Service(program, kind.args(file), {
      HOME: folder,
      XDG_DATA_HOME: folder,
      XDG_CONFIG_HOME: folder,
    }).listens(ports.https);
    return new Proxy(`http://localhost:${ports.http}`, `https://localhost:${ports.https}`, service, folder);
  }

  /** Resolves with what it said. */
  async stop(): Promise<string> {
    const said = await this.service.stop();
    rmSync(this.folder, { recursive: true, force: true });
    return said;
  }
}
