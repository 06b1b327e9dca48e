// The health check of the images: exit code 0 while the process answers. It asks for liveness and not for readiness, so
// that an outage of the database restarts nothing.
import http from 'node:http';
import https from 'node:https';

const { PORT, RUNNER_HEALTH_PORT, BATON_TLS_CERT_FILE } = process.env;
const isTls = RUNNER_HEALTH_PORT === undefined && Boolean(BATON_TLS_CERT_FILE);
const options = {
  host: '127.0.0.1',
  port: RUNNER_HEALTH_PORT ?? PORT,
  path: '/healthz',
  timeout: 4000,
  // It asks itself.
  rejectUnauthorized: false,
};
const request = (isTls ? https : http).get(options, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1));
request.on('timeout', () => request.destroy());
request.on('error', () => process.exit(1));
