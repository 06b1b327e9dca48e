// Bundles the heartbeat thread of the SDK into one script and writes that, as text, into the compiled form of
// runner-sdk/leases/heartbeat-thread-source.ts, for programs that are bundled themselves and have no file of the
// thread.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), 'runner-sdk', 'dist', 'leases');
const { outputFiles } = buildSync({
  entryPoints: [join(dist, 'heartbeat-thread.js')],
  ...{ bundle: true, platform: 'node', format: 'cjs', target: 'node20.19', minify: true, write: false },
  ...{ legalComments: 'none', logLevel: 'error', external: ['@opentelemetry/api'] },
});
const [{ text }] = outputFiles;
writeFileSync(
  join(dist, 'heartbeat-thread-source.js'),
  `"use strict";\nObject.defineProperty(exports, "__esModule", { value: true });\nexports.heartbeatThreadSource = ${JSON.stringify(text)};\n`,
);
