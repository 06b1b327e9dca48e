import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { type Finding, ok, problem, warning } from './finding';

const TIMEOUT_MS = 10_000;
const DAY_MS = 86_400_000;
const SOON_DAYS = 21;
const ALLOWED_SKEW_MS = 5000;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** Whether something answers at the URL, and over what; `isReachable`: a coordinator does. */
export async function checkNetwork(url: string): Promise<{ findings: Finding[]; isReachable: boolean }> {
  const parsed = new URL(url);
  const findings = parsed.protocol === 'https:' ? await checkTls(parsed) : [withoutTls(parsed)];
  const ready = await checkReady(url);
  return { findings: [...findings, ...ready.findings], isReachable: ready.isReachable };
}

function withoutTls({ hostname }: URL): Finding {
  if (LOOPBACK.test(hostname)) return ok('TLS', 'not needed: this machine is called');
  return warning(
    'TLS',
    `${hostname} is called over http, without TLS`,
    'Keys and jobs can be read and changed on the way.',
    'Set BATON_TLS_CERT_FILE and BATON_TLS_KEY_FILE, or put a proxy with a certificate in front; then use https.',
  );
}

async function checkTls({ hostname, port }: URL): Promise<Finding[]> {
  const host = hostname.replace(/^\[|\]$/g, '');
  const why = 'Runners and clients refuse the connection, or must be told not to look.';
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port: Number(port || 443),
      ...(isIP(host) === 0 && { servername: host }),
      rejectUnauthorized: false,
      timeout: TIMEOUT_MS,
    });
    const end = (finding: Finding) => {
      socket.destroy();
      resolve([finding]);
    };
    socket.once('timeout', () =>
      end(problem('TLS', `${host} does not answer within 10 s`, why, 'Check host, port and firewall.')),
    );
    socket.once('error', (error: Error) =>
      end(problem('TLS', `no TLS with ${host}: ${error.message}`, why, 'Check that https is spoken at this port.')),
    );
    socket.once('secureConnect', () => {
      const { valid_to: until } = socket.getPeerCertificate();
      const days = Math.floor((Date.parse(until) - Date.now()) / DAY_MS);
      const fault = socket.authorized ? undefined : String(socket.authorizationError);
      if (fault !== undefined)
        return end(
          problem(
            'TLS',
            `the certificate of ${host} is not accepted: ${fault}`,
            why,
            'Renew it, or name its authority in NODE_EXTRA_CA_CERTS.',
          ),
        );
      if (days < SOON_DAYS)
        return end(
          warning(
            'TLS',
            `the certificate of ${host} ends in ${days} days`,
            'After that nothing connects.',
            'Renew it.',
          ),
        );
      end(ok('TLS', `${socket.getProtocol()}, certificate valid for ${days} days`));
    });
  });
}

async function checkReady(url: string): Promise<{ findings: Finding[]; isReachable: boolean }> {
  const check = 'reachability';
  const before = performance.now();
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(`${url.replace(/\/+$/, '')}/readyz`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    body = await response.json();
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const what = `no coordinator answers at ${url}: ${cause instanceof Error ? cause.message : String(cause)}`;
    const advice = 'Start it, or correct the URL; if it ends at once, its first log line says why.';
    return { findings: [problem(check, what, 'Nothing can be created or claimed.', advice)], isReachable: false };
  }
  const took = Math.round(performance.now() - before);
  const { status, reasons } = body as { status?: unknown; reasons?: unknown };
  if (status === 'ready') return { findings: [ok(check, `ready, in ${took} ms`)], isReachable: true };
  if (status === 'not_ready') {
    const what = `the coordinator is not ready: ${Array.isArray(reasons) ? reasons.join('; ') : ''}`;
    const advice = 'Put right what it names; a load balancer sends it nothing until then.';
    return { findings: [problem(check, what, 'Calls fail or wait.', advice)], isReachable: true };
  }
  const what = `what answers at ${url} is no coordinator (HTTP ${response.status})`;
  const advice = 'Correct the URL; a path such as /jobs does not belong to it.';
  return { findings: [problem(check, what, 'Nothing can be created or claimed.', advice)], isReachable: false };
}

/** @param offsetMs how far the clock of this machine is ahead of the other */
export function checkClock(whose: string, offsetMs: number, why: string): Finding {
  const seconds = (Math.abs(offsetMs) / 1000).toFixed(1);
  if (Math.abs(offsetMs) <= ALLOWED_SKEW_MS) return ok('clock', `${whose} is right within ${seconds} s`);
  const direction = offsetMs > 0 ? 'ahead' : 'behind';
  return warning('clock', `${whose} is ${seconds} s ${direction}`, why, 'Keep clocks right with NTP.');
}
